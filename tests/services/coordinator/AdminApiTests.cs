using System.Net;
using System.Net.Http.Json;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Services.Tests.Support;

namespace SplitFrozen.Services.Tests.Coordinator;

/// <summary>What an administrator does: deletes runs, and looks at dead letters.</summary>
public sealed class AdminApiTests : HostedRun
{
    [Fact]
    public async Task Delete_OfARunThatHasEnded_LeavesNothingOfItAndNoCoordinatorTellsItAgain()
    {
        var host = await HostAsync();
        var standby = await HostAsync(("Coordinator:LeaseRenewal", "00:00:05"));
        Device("d1");
        var (runId, gate) = await SubmitAndStopAsync(host, beforeSequence: 3);
        using (var early = await host.Client.DeleteAsync($"/api/runs/{runId}", Token))
        {
            Assert.Equal(HttpStatusCode.Conflict, early.StatusCode);
            Assert.Contains("cancel it first", (await early.Content.ReadFromJsonAsync<RequestRefused>(ClusterApi.Json, Token))!.Errors[0], StringComparison.Ordinal);
        }

        gate.SetResult();
        await FinishAsync(host, runId);
        await using var raw = await StackExchange.Redis.ConnectionMultiplexer.ConnectAsync(_server.ConnectionString);
        Assert.NotEqual([], await KeysAsync());

        using (var deleted = await host.Client.DeleteAsync($"/api/runs/{runId}", Token))
        {
            Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
        }

        // A word for it stays for a day, so that a coordinator which knew it as an open run does not take it for lost.
        Assert.Equal([$"run:{runId}:deleted"], await KeysAsync());
        Assert.Empty((await host.Client.GetFromJsonAsync<RunSummary[]>("/api/runs", ClusterApi.Json, Token))!);
        using (var again = await host.Client.DeleteAsync($"/api/runs/{runId}", Token))
        {
            Assert.Equal(HttpStatusCode.NotFound, again.StatusCode);
        }

        await host.DisposeAsync();
        _owned.Remove(host);
        await Deadline.UntilAsync(() => standby.IsActive, "the standby takes over");
        await FinishAsync(standby, await SubmitAsync(standby));
        Assert.DoesNotContain((await standby.Client.GetFromJsonAsync<RunSummary[]>("/api/runs", ClusterApi.Json, Token))!, run => run.RunId == runId);

        async Task<IReadOnlyList<string>> KeysAsync()
        {
            var keys = new List<string>();
            await foreach (var key in raw.GetServers()[0].KeysAsync(pattern: $"*{runId}*"))
            {
                keys.Add(key.ToString());
            }

            return keys;
        }
    }

    [Fact]
    public async Task DeadLetters_AreListedNewestFirstWithoutBodiesAndDeleted()
    {
        var host = await HostAsync();
        for (var n = 1; n <= 3; n++)
        {
            await RefuseAsync("r", $"c{n}", $"reason {n}", new byte[n]);
        }

        Assert.Equal(
            [new("r", "c3", "reason 3", 3), new("r", "c2", "reason 2", 2), new("r", "c1", "reason 1", 1)],
            (await host.Client.GetFromJsonAsync<DeadLetterSummary[]>("/api/dead-letters", ClusterApi.Json, Token))!);
        using var purged = await host.Client.DeleteAsync("/api/dead-letters", Token);
        Assert.Equal(new DeadLettersPurged(3), await purged.Content.ReadFromJsonAsync<DeadLettersPurged>(ClusterApi.Json, Token));
        Assert.Empty((await host.Client.GetFromJsonAsync<DeadLetterSummary[]>("/api/dead-letters", ClusterApi.Json, Token))!);
    }

    private async Task RefuseAsync(string run, string client, string reason, byte[] body)
    {
        await _data.PublishAsync(run, client, body, Token);
        await using var subscription = await _data.SubscribeAsync(run, client, 1, Token);
        await subscription.WaitAsync(Token);
        Assert.True(subscription.TryReceive(out var delivery));
        await delivery!.RejectAsync(reason, Token);
    }
}
