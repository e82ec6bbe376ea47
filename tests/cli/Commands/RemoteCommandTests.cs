using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Cli.Tests.Commands;

/// <summary>What the command line sends to a coordinator, and what it takes from one.</summary>
public sealed class RemoteCommandTests : IAsyncDisposable
{
    private const string Secret = "sft_thisoneissecret";
    private readonly WebApplication _coordinator;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("splitfrozen-remote-");
    private readonly List<string> _authorizations = [];

    public RemoteCommandTests()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        _coordinator = builder.Build();
        _coordinator.Urls.Add("http://127.0.0.1:0");
        _coordinator.Use((context, next) =>
        {
            _authorizations.Add(context.Request.Headers.Authorization.ToString());
            return next(context);
        });
    }

    private string Address => _coordinator.Urls.Single();

    public async ValueTask DisposeAsync()
    {
        await _coordinator.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task Token_IsSentToThisMachineAndNeverInTheClearToAnother()
    {
        _coordinator.MapGet("/api/runs", () => Results.Json(Array.Empty<RunSummary>()));
        await _coordinator.StartAsync(TestContext.Current.CancellationToken);
        Assert.Equal(ExitCodes.Success, (await RunAsync("runs", "--token", Secret)).Code);
        Assert.Equal([$"Bearer {Secret}"], _authorizations);

        var refused = await TinyWorkspace.RunAsync(["runs", "--coordinator", "http://coordinator.example.org:8080", "--token", Secret]);
        Assert.Equal(ExitCodes.BadInput, refused.Code);
        Assert.Contains("not sent over plain http", refused.Error, StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, refused.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sft_this one is secret")]
    [InlineData("sft_secret\u00e9")]
    public async Task Token_WithOtherCharacters_IsRefusedAndNotRepeated(string token)
    {
        var refused = await TinyWorkspace.RunAsync(["runs", "--coordinator", "http://127.0.0.1:1", "--token", token]);
        Assert.Equal(ExitCodes.BadInput, refused.Code);
        Assert.Contains("--token", refused.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Authority_ThatIsNone_IsNamed()
    {
        Assert.Contains("nowhere.pem", (await TinyWorkspace.RunAsync(["runs", "--ca", "nowhere.pem"])).Error, StringComparison.Ordinal);
        var empty = Path.Combine(_folder.FullName, "empty.pem");
        await File.WriteAllTextAsync(empty, "no certificate", TestContext.Current.CancellationToken);
        var refused = await TinyWorkspace.RunAsync(["runs", "--ca", empty]);
        Assert.Equal(ExitCodes.BadInput, refused.Code);
        Assert.Contains("there is no certificate in it", refused.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Download_OfWhatTheTrainerDidNotStore_WritesNothing(bool damaged)
    {
        byte[] stored = [1, 2, 3];
        var artifact = new RunArtifact("adapter_model.safetensors", stored.Length, Convert.ToHexStringLower(SHA256.HashData(stored)));
        var summary = new RunSummary("r", "r", RunStatus.Finished, DateTimeOffset.UnixEpoch, 1, 1, 0, null);
        _coordinator.MapGet("/api/runs/r", () => Results.Json(new RunDetail(summary, new RunSpec(), null, [], [artifact]), ClusterApi.Json));
        _coordinator.MapGet("/api/runs/r/artifacts/adapter_model.safetensors", () => Results.Bytes(damaged ? [1, 2, 4] : stored));
        await _coordinator.StartAsync(TestContext.Current.CancellationToken);

        var output = Path.Combine(_folder.FullName, "adapter");
        var result = await RunAsync("download", "r", "--out", output);
        Assert.Equal(damaged ? ExitCodes.BadInput : ExitCodes.Success, result.Code);
        Assert.Equal(!damaged, Directory.Exists(output));
        if (damaged)
        {
            Assert.Contains($"adapter_model.safetensors of r is not what the trainer stored", result.Error, StringComparison.Ordinal);
            Assert.Contains(artifact.Sha256!, result.Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task TooManyRequests_AreTriedAgainWhenTheCoordinatorSaysSo()
    {
        _coordinator.MapGet("/api/runs", (HttpContext context) =>
        {
            context.Response.Headers.RetryAfter = "0";
            return _authorizations.Count < 3 ? Results.Json(new RequestRefused(["Too many requests."]), ClusterApi.Json, statusCode: 429) : Results.Json(Array.Empty<RunSummary>());
        });
        await _coordinator.StartAsync(TestContext.Current.CancellationToken);
        Assert.Equal(ExitCodes.Success, (await RunAsync("runs")).Code);
        Assert.Equal(3, _authorizations.Count);
    }

    [Fact]
    public async Task DeadLetters_WithAStrangersControlCharacters_DoNotSteerTheTerminal()
    {
        _coordinator.MapGet("/api/dead-letters", () => Results.Json(new[] { new DeadLetterSummary("r", "c", "bad \u001b[2J reason", 5) }, ClusterApi.Json));
        _coordinator.MapDelete("/api/dead-letters", () => Results.Json(new DeadLettersPurged(7), ClusterApi.Json));
        await _coordinator.StartAsync(TestContext.Current.CancellationToken);
        var shown = await RunAsync("dead-letters");
        Assert.Contains("reason", shown.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("\u001b", shown.Output, StringComparison.Ordinal);
        Assert.Contains("deleted: 7", (await RunAsync("dead-letters", "--purge")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TokenCreate_PrintsTheTokenOnceAndItsHashAsSettings()
    {
        var shown = await TinyWorkspace.RunAsync(["token", "create", "--name", "alice", "--role", "submit", "--number", "2", "--json"]);
        Assert.Equal(ExitCodes.Success, shown.Code);
        using var json = JsonDocument.Parse(shown.Output);
        var token = json.RootElement.GetProperty("token").GetString()!;
        var settings = json.RootElement.GetProperty("settings");
        Assert.Equal("alice", settings.GetProperty("Coordinator__Tokens__2__Name").GetString());
        Assert.Equal("submit", settings.GetProperty("Coordinator__Tokens__2__Role").GetString());
        Assert.Equal(Convert.ToHexStringLower(ApiToken.Hash(token)), settings.GetProperty("Coordinator__Tokens__2__Sha256").GetString());
        Assert.True(ApiToken.IsWellFormed(token));
        Assert.Equal("sft_".Length + 43, token.Length);

        var text = await TinyWorkspace.RunAsync(["token", "create", "--name", "alice", "--role", "read"]);
        Assert.Contains("Coordinator__Tokens__0__Role=read", text.Output, StringComparison.Ordinal);
        Assert.DoesNotContain(token, text.Output, StringComparison.Ordinal);
        Assert.Equal(ExitCodes.BadInput, (await TinyWorkspace.RunAsync(["token", "create", "--name", "alice", "--role", "root"])).Code);
        Assert.Contains("--name", (await TinyWorkspace.RunAsync(["token", "create", "--name", "a b", "--role", "read"])).Error, StringComparison.Ordinal);
    }

    private Task<CommandResult> RunAsync(params string[] arguments) => TinyWorkspace.RunAsync([.. arguments, "--coordinator", Address]);
}
