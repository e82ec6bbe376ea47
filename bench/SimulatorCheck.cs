using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Comparison.Fleet.Simulation;
using SplitFrozen.Contracts.Events;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.TestServers;

namespace SplitFrozen.Bench;

/// <summary>
/// Holds the simulator against reality: measures the rates of this machine's parts, simulates a run with them, and runs it over real processes.
/// A short run comes first, so that the services' code is warm in the run that counts. The rates are measured right before and after
/// it and averaged, since a shared machine changes; medians are over the rounds.
/// </summary>
internal static class SimulatorCheck
{
    private const int Rounds = 3;
    private const double Allowed = 0.15;

    private static readonly SimulatorCase[] s_cases =
    [
        new("trainer-bound", Boundary: 1, Epochs: 3, Rank: 16, DataSets: 1),
        new("device-bound", Boundary: 5, Epochs: 1, Rank: 4, DataSets: 5),
    ];

    internal static async Task RunAsync(Report report)
    {
        var output = report.Output;
        await output.WriteLineAsync("case            round  device GFLOP/s  trainer GFLOP/s  uplink MB/s  intake MB/s  simulated s  real s   ratio").ConfigureAwait(false);
        using var model = ModelFolder.Open(SimulatorCase.ModelPath);
        foreach (var check in s_cases)
        {
            var ratios = new List<double>();
            for (var round = 1; round <= Rounds; round++)
            {
                // A cluster of its own: nothing is cached yet.
                var cluster = await Cluster.StartAsync(new ClusterOptions { Devices = 1, AppendFsync = "everysec", LogLevel = "Warning" }, CancellationToken.None).ConfigureAwait(false);
                await using var owned = cluster.ConfigureAwait(false);
                if (cluster.SkipReason is not null)
                {
                    await output.WriteLineAsync($"There is nothing to measure: {cluster.SkipReason}").ConfigureAwait(false);
                    return;
                }

                var data = check.WriteData(cluster.Folder, seed: 2);
                var samples = SimulatorCase.LoadSamples(model.Config, data);
                var warmUp = check.WarmUp();
                _ = await RealSecondsAsync(warmUp.Write(cluster.Folder, warmUp.WriteData(cluster.Folder, seed: 1000)), cluster).ConfigureAwait(false);
                var before = await PartRates.MeasureAsync(check, model, samples, cluster, CancellationToken.None).ConfigureAwait(false);
                var real = await RealSecondsAsync(check.Write(cluster.Folder, data), cluster).ConfigureAwait(false);
                var after = await PartRates.MeasureAsync(check, model, samples, cluster, CancellationToken.None).ConfigureAwait(false);
                var simulated = (Simulate(check, model, samples, before) + Simulate(check, model, samples, after)) / 2;
                ratios.Add(simulated / real);
                await output.WriteLineAsync(
                    $"{check.Name,-14}  {round,5}  {Pair(before.DeviceGigaflops, after.DeviceGigaflops),14}  {Pair(before.TrainerGigaflops, after.TrainerGigaflops),15}  "
                    + $"{Pair(before.UplinkBytesPerSecond / 1e6, after.UplinkBytesPerSecond / 1e6),11}  {Pair(before.IntakeBytesPerSecond / 1e6, after.IntakeBytesPerSecond / 1e6),11}  "
                    + $"{simulated,11:F2}  {real,6:F2}  {ratios[^1],6:F3}").ConfigureAwait(false);
            }

            var median = ratios.Order().ElementAt(Rounds / 2);
            await output.WriteLineAsync($"{check.Name}: median ratio {median:F3}; {(Math.Abs(median - 1) <= Allowed ? "within" : "NOT within")} {Allowed:P0}").ConfigureAwait(false);
        }
    }

    private static double Simulate(SimulatorCase check, ModelFolder model, IReadOnlyList<EncodedSample> samples, PartRates rates)
    {
        var device = new SimulatedDevice("this machine", new DeviceProfile(rates.DeviceGigaflops, 4L << 30, rates.UplinkBytesPerSecond), rates.UplinkBytesPerSecond, TimeSpan.Zero);
        var server = new SimulatedServer { GigaflopsPerSecond = rates.TrainerGigaflops, IngressBytesPerSecond = rates.IntakeBytesPerSecond };
        return new FleetSimulator(check.Workload(model.Config, samples), new SimulatedFleet([device], server)).Run(FineTuningMethod.SplitFrozenCached).Seconds;
    }

    /// <summary>Seconds from the moment when the coordinator knows all samples to the last optimiser step.</summary>
    private static async Task<double> RealSecondsAsync(string spec, Cluster cluster)
    {
        var run = await cluster.SubmitAsync(spec, CancellationToken.None).ConfigureAwait(false);
        var (code, text, error) = await cluster.CommandAsync(CancellationToken.None, "watch", run, "--json").ConfigureAwait(false);
        if (code != 0)
        {
            throw new InvalidOperationException($"The run failed: {error}\n{cluster.Logs()}");
        }

        var events = text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(RunEvent.FromJson).ToArray();
        return (events.OfType<StepAppliedEvent>().Last().Time - events.OfType<RunPlannedEvent>().First().Time).TotalSeconds;
    }

    private static string Pair(double before, double after) => $"{before:F0} / {after:F0}";
}
