using System.Collections.Concurrent;
using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Hosting.Internal;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.DeviceWorker.Hosting;
using SplitFrozen.Messaging;
using SplitFrozen.Services.Tests.Support;
using SplitFrozen.TestServers;

namespace SplitFrozen.Services.Tests.DeviceWorker;

/// <summary>A device worker's process with data of its own, over the model that the repository ships.</summary>
public sealed class DeviceHostTests : IAsyncDisposable
{
    private readonly InProcessControlPlane _control = new();
    private readonly InProcessDataPlane _data = new();
    private readonly TemporaryFolder _folder = new();
    private readonly ConcurrentQueue<ClientRegistered> _registered = new();
    private readonly ConcurrentQueue<RunFailed> _failed = new();
    private readonly ConcurrentQueue<DeviceAlive> _alive = new();
    private readonly ErrorLog _errors = new();

    public DeviceHostTests()
    {
        Keep(_registered);
        Keep(_failed);
        Keep(_alive);
    }

    public async ValueTask DisposeAsync()
    {
        await _control.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task Assigned_OwnFile_RegistersAllItsRowsUnderItsNameAndTellsNothingElse()
    {
        using var host = await StartAsync("site-1", "text,label\nThe view felt wonderful.,positive\nWe regretted the humour.,negative\nThe view felt wonderful.,positive\n");
        await AssignAsync("site-1");
        await Deadline.UntilAsync(() => !_registered.IsEmpty || !_errors.IsEmpty, "it registers");

        Assert.Empty(_errors);
        var registered = Assert.Single(_registered);
        Assert.Equal(("site-1", 1), (registered.ClientId, registered.Cut));
        Assert.Equal(registered.Manifest.Select((entry, row) => SampleId.OfDevice("site-1", row, entry.Digest)), registered.Manifest.Select(entry => entry.Id));
        Assert.Equal(registered.Manifest[0].Digest, registered.Manifest[2].Digest);
        Assert.Equal(3, registered.Manifest.Select(entry => entry.Id).Distinct().Count());
        Assert.All(_alive, alive => Assert.True(alive.HasOwnData));
        await host.StopAsync(CancellationToken.None);
    }

    [Theory]
    [InlineData("text,label\nGood.,positive\nBad.,awful\n", "line 3, field 'label': found the label 'awful'; expected negative (0), positive (1)")]
    [InlineData("text,label\n", "the file has no rows")]
    [InlineData("words,label\nGood.,positive\n", "found the columns words, label; expected text, label")]
    [InlineData(null, "site-1.csv")]
    public async Task Assigned_BadOwnFile_IsLoggedWithPlaceAndTheRunOfTheOthersGoesOn(string? content, string expected)
    {
        using var host = await StartAsync("site-1", content);
        await AssignAsync("site-1");
        await Deadline.UntilAsync(() => !_errors.IsEmpty, "it says what is wrong");

        var error = Assert.Single(_errors);
        Assert.Contains(expected, error, StringComparison.Ordinal);
        Assert.Contains("site-1.csv", error, StringComparison.Ordinal);
        Assert.Contains("start the device worker again", error, StringComparison.Ordinal);
        await host.StopAsync(CancellationToken.None);
        Assert.Empty(_registered);
        Assert.Empty(_failed);
    }

    [Fact]
    public async Task Assigned_AnothersClient_IsRefused()
    {
        using var host = await StartAsync("site-1", "text,label\nGood.,positive\n");
        await AssignAsync("site-2");
        await Deadline.UntilAsync(() => !_errors.IsEmpty, "it says what is wrong");
        Assert.Contains("'site-2'", Assert.Single(_errors), StringComparison.Ordinal);
        await host.StopAsync(CancellationToken.None);
        Assert.Empty(_registered);
    }

    [Theory]
    [InlineData("site-1", "/data/own.tsv", null)]
    [InlineData("site-1", "own.JSONL", null)]
    [InlineData("site-1", "own.parquet", "Device__Data")]
    [InlineData("site-1", "own", "Device__Data")]
    [InlineData("evaluation", null, "Device__Name")]
    [InlineData("evaluation-1", null, null)]
    [InlineData("a b", null, "Device__Name")]
    public void Options_NameAndFile_AreChecked(string name, string? data, string? fault)
    {
        var options = new DeviceHostOptions { Name = name, Data = data };
        var results = new List<ValidationResult>();
        Assert.Equal(fault is null, Validator.TryValidateObject(options, new ValidationContext(options), results, validateAllProperties: true));
        Assert.Equal(fault is null ? 0 : 1, results.Count(result => result.ErrorMessage!.StartsWith(fault ?? "", StringComparison.Ordinal)));
    }

    private async Task<DeviceHost> StartAsync(string name, string? content)
    {
        var file = _folder.File($"{name}.csv");
        if (content is not null)
        {
            await File.WriteAllTextAsync(file, content, TestContext.Current.CancellationToken);
        }

        var host = new DeviceHost(
            Options.Create(new DeviceHostOptions { Name = name, Data = file, GigaflopsPerSecond = 1 }), _control, _data, TimeProvider.System,
            new ApplicationLifetime(NullLogger<ApplicationLifetime>.Instance), new LoggerFactory([_errors]));
        await host.StartAsync(TestContext.Current.CancellationToken);
        await Deadline.UntilAsync(() => !_alive.IsEmpty, "it is alive");
        return host;
    }

    private ValueTask AssignAsync(string client) => _control.PublishAsync(
        new ClientsAssigned("run", "site-1", Spec, [new ClientShare(client, 1)]), TestContext.Current.CancellationToken);

    private static RunSpec Spec { get; } = new()
    {
        Name = "own",
        Model = new ModelSpec { Path = Path.Combine(Programs.Root, "samples", "base-model"), Boundary = 2 },
        Task = new TaskSpec { Kind = TaskKinds.Classification, Evaluation = "/not/here.csv", Classes = ["negative", "positive"] },
        Clients = new ClientsSpec { Count = 2, Partition = ClientPartitions.Devices },
    };

    private void Keep<TMessage>(ConcurrentQueue<TMessage> queue)
        where TMessage : class => _control.Subscribe<TMessage>((message, _) =>
        {
            queue.Enqueue(message);
            return ValueTask.CompletedTask;
        });

    /// <summary>The texts of errors in the log.</summary>
    private sealed class ErrorLog : ConcurrentQueue<string>, ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                Enqueue(formatter(state, exception));
            }
        }

        public void Dispose()
        {
            // Nothing is held.
        }
    }
}
