using SplitFrozen.Contracts.Api;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>Devices with files of their own, one class each, as the clients of a run; a fourth device computes the held-out rows.</summary>
[Collection(ClusterTests.OneAtATime)]
public sealed class OwnDataTests : ClusterTests, IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("splitfrozen-own-data-");
    private readonly string[] _files;

    public OwnDataTests() => _files = SampleRun.OwnFiles(_folder.FullName);

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task Run_DeviceComesBackWithOtherData_IsRefusedUntilItHasItsOwnAgain()
    {
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 4, OwnData = _files });
        var run = await SubmitAsync(cluster, "stop");
        var own = await File.ReadAllTextAsync(_files[2], Token);

        // The trainer is far from the end of the first epoch, and little is asked for ahead of it: the device is still owed work.
        await StepAsync(cluster, run, 1);
        await RestartAsync(cluster.Devices[2], own.Replace(" the ", " that ", StringComparison.Ordinal));
        await cluster.UntilAsync(
            () => Task.FromResult(cluster.Coordinator.LogEnd().Contains("Refused the registration of client device-3: it came back with other data", StringComparison.Ordinal)),
            () => "the changed data is refused", Token);
        Assert.Equal(RunStatus.Running, (await cluster.RunAsync(run, Token))?.Summary.Status);

        await RestartAsync(cluster.Devices[2], own);
        var ended = await cluster.EndAsync(run, Token);
        Assert.True(ended.Summary.Status == RunStatus.Finished, $"{ended.Summary}\n{cluster.Logs()}");
        Assert.Equal(
            [("device-1", "device-1"), ("device-2", "device-2"), ("device-3", "device-3"), ("evaluation", "device-4")],
            ended.Clients.Select(client => (client.ClientId, client.Device!)));
        AssertEachEpochTrains(SampleRun.Samples, cluster.StepLog(run));
        var (code, output, error) = await cluster.CommandAsync(Token, "download", run, "--out", Path.Combine(_folder.FullName, "adapter"));
        Assert.True(code == 0, error);
        Assert.Contains("adapter_model.safetensors", output, StringComparison.Ordinal);

        async Task RestartAsync(Service device, string content)
        {
            await device.KillAsync();
            await File.WriteAllTextAsync(_files[2], content, Token);
            device.Start();
        }
    }

    [Fact]
    public async Task Run_DeviceGoneForGood_CompletesAndSaysHowManySamplesAreMissing()
    {
        await using var cluster = await StartAsync(new ClusterOptions
        {
            Devices = 4, OwnData = _files, Settings = new Dictionary<string, string> { ["Coordinator__ClientDeadline"] = "00:00:40" },
        });
        var run = await SubmitAsync(cluster, "complete");
        await StepAsync(cluster, run, 1);
        await cluster.Devices[2].KillAsync();
        await cluster.EndAsync(run, Token);

        // The watch ends with the run's last event: then all that was told of it is recorded.
        await cluster.CommandAsync(Token, "watch", run, "--json");
        var ended = (await cluster.RunAsync(run, Token))!;
        Assert.True(ended.Summary.Status == RunStatus.Finished, $"{ended.Summary}\n{cluster.Logs()}");
        Assert.InRange(ended.Summary.FailedSamples, 1, SampleRun.Samples - 123 - 60);
        AssertEachEpochTrains(SampleRun.Samples - ended.Summary.FailedSamples, cluster.StepLog(run));
        Assert.Contains($"\"failed_samples\":{ended.Summary.FailedSamples}", (await cluster.CommandAsync(Token, "runs", "--json")).Output, StringComparison.Ordinal);
        Assert.Equal(4, (await cluster.CommandAsync(Token, "devices", "--json")).Output.Split("\"has_own_data\":true").Length);
    }

    private static Task<string> SubmitAsync(Cluster cluster, string missing) =>
        cluster.SubmitAsync(SampleRun.WriteForDevices(cluster.Folder, missing), Token, "--set", "cache.max_bytes=1048576");

    private static void AssertEachEpochTrains(int samples, string[] stepLog)
    {
        var epochs = SampleRun.Trained(stepLog);
        Assert.All(epochs, epoch => Assert.Equal(epochs[0], epoch));
        Assert.Equal(samples, epochs[0].Distinct().Count());
        Assert.Equal(samples, epochs[0].Length);
    }
}
