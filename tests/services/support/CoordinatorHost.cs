using System.Net;
using System.Net.Http.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Events;
using SplitFrozen.Coordinator.Hosting;
using SplitFrozen.Messaging;
using SplitFrozen.ServiceDefaults;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>A coordinator process in this one: its web server on a free port, over in-process planes and a real cache server.</summary>
internal sealed class CoordinatorHost : IAsyncDisposable
{
    private readonly WebApplication _app;

    private CoordinatorHost(WebApplication app)
    {
        _app = app;
        var address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        Client = new HttpClient { BaseAddress = new Uri(address) };
    }

    public HttpClient Client { get; }

    public bool IsActive => _app.Services.GetRequiredService<RunSupervisor>().IsActive;

    /// <summary>Every route with its metadata.</summary>
    public IReadOnlyList<RouteEndpoint> Routes => [.. _app.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()];

    public static async Task<CoordinatorHost> StartAsync(
        string redis, InProcessControlPlane control, InProcessDataPlane data, params (string Key, string Value)[] settings)
    {
        var builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["urls"] = "http://127.0.0.1:0",
            ["Coordinator:LeaseTime"] = "00:00:10",
            ["Coordinator:LeaseRenewal"] = "00:00:00.05",
            ["Coordinator:RunPoll"] = "00:00:00.02",
            ["Coordinator:OfferInterval"] = "00:00:00.1",
            ["Coordinator:ReofferInterval"] = "00:00:00.2",
            ["Coordinator:DeviceLease"] = "00:00:01",
            ["Coordinator:DealInterval"] = "00:00:00.02",
            ["Coordinator:GatherTime"] = "00:00:00.2",
            ["Coordinator:SettleTime"] = "00:00:00.1",
            ["Coordinator:EventPoll"] = "00:00:00.02",
        });
        builder.Configuration.AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create(setting.Key, (string?)setting.Value)));
        builder.AddServiceDefaults("splitfrozen-coordinator");
        builder.AddCoordinator();
        builder.Services.AddSingleton<IControlPlane>(new Borrowed(control));
        builder.Services.AddSingleton<IActivationSource>(data);
        builder.Services.AddSingleton<IStepPublisher>(data);
        builder.Services.AddSingleton<IRunQueues>(data);
        builder.Services.AddSingleton<IDeadLetters>(data);
        var connection = await CacheConnection.ConnectAsync(redis, CancellationToken.None);
        builder.Services.AddSingleton(_ => connection);
        builder.Services.AddSingleton<IActivationCache>(_ => new RedisActivationCache(connection, 1 << 30));
        builder.Services.AddSingleton<IRunLedger>(new RedisRunLedger(connection));
        builder.Services.AddSingleton(new RedisLeases(connection));
        builder.Services.AddSingleton(new RedisArtifactStore(connection));
        var app = builder.Build();
        app.MapCoordinator();
        await app.StartAsync();
        return new CoordinatorHost(app);
    }

    public async Task<RunDetail> RunAsync(string runId) =>
        (await Client.GetFromJsonAsync<RunDetail>($"/api/runs/{runId}", ClusterApi.Json))!;

    public async Task<(HttpStatusCode Status, string[] Errors)> PostAsync(string path)
    {
        using var response = await Client.PostAsync(path, content: null);
        return (response.StatusCode, response.IsSuccessStatusCode
            ? []
            : [.. (await response.Content.ReadFromJsonAsync<RequestRefused>(ClusterApi.Json))!.Errors]);
    }

    /// <summary>The run's events by number, to the end of the stream.</summary>
    public async Task<List<(long Number, RunEvent Event)>> EventsAsync(string runId, long? after, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/api/runs/{runId}/events");
        if (after is { } number)
        {
            request.Headers.Add("Last-Event-ID", $"{number}");
        }

        using var response = await Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        response.EnsureSuccessStatusCode();
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        await using var stream = await response.Content.ReadAsStreamAsync(cancellationToken);
        var events = new List<(long, RunEvent)>();
        await foreach (var item in System.Net.ServerSentEvents.SseParser.Create(stream).EnumerateAsync(cancellationToken))
        {
            events.Add((long.Parse(item.EventId!), RunEvent.FromJson(item.Data)!));
        }

        return events;
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    /// <summary>Keeps a host from disposing the plane that the next one uses.</summary>
    private sealed class Borrowed(InProcessControlPlane plane) : IControlPlane
    {
        public ValueTask PublishAsync<TMessage>(TMessage message, CancellationToken cancellationToken)
            where TMessage : class => plane.PublishAsync(message, cancellationToken);

        public IDisposable Subscribe<TMessage>(Func<TMessage, CancellationToken, ValueTask> handler, params IReadOnlyCollection<string> addresses)
            where TMessage : class => plane.Subscribe(handler, addresses);
    }
}
