using System.Diagnostics;
using SplitFrozen.TestServers;

namespace SplitFrozen.Bench;

/// <summary>
/// Many device workers on one coordinator, run after run: real messages over broker and control plane with recorded activations, a heartbeat of
/// every device every two seconds, and a trainer that applies each step at once. Memory and cost must not grow with time, and where all
/// clients have a backlog each gets its weight of the intake.
/// </summary>
internal static class LoadTest
{
    private const string Name = "load";
    private const int RowsPerDevice = 64;
    private const int SamplesPerBody = 2;
    private const int BodiesPerWeight = 96;
    private const int Publishers = 8;
    private const int LeastRounds = 4;

    // Fairness is looked at while every client still has messages that wait: the lightest and the heaviest end together, when all is taken.
    private const double TakenShare = 0.8;

    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(100);

    /// <summary>Plays runs for so long, and then one for fairness.</summary>
    internal static async Task RunAsync(Report report, int devices, TimeSpan length, CancellationToken cancellationToken)
    {
        var output = report.Output;
        var recording = await Recording.OfDemoAsync(Path.Combine(Programs.Root, "samples"), 256).ConfigureAwait(false);
        if (await BenchCluster.StartAsync(report, Name, new ClusterOptions { Trainer = false, AppendFsync = "everysec" }, cancellationToken).ConfigureAwait(false) is not { } cluster)
        {
            return;
        }

        await using var owned = cluster.ConfigureAwait(false);
        await output.WriteLineAsync($"{Name}: {devices} device workers with {RowsPerDevice} samples each, run after run for {length}; recorded activations of the sample model").ConfigureAwait(false);
        await output.WriteLineAsync(Machine.Description).ConfigureAwait(false);
        await output.WriteLineAsync().ConfigureAwait(false);
        await RoundsAsync(report, cluster, recording, devices, length, cancellationToken).ConfigureAwait(false);
        await FairnessAsync(report, cluster, recording, devices, cancellationToken).ConfigureAwait(false);
    }

    private static async Task RoundsAsync(Report report, Cluster cluster, Recording recording, int devices, TimeSpan length, CancellationToken cancellationToken)
    {
        var (output, clock, watch, rounds) = (report.Output, Stopwatch.StartNew(), Machine.Watch(), new List<Round>());
        await output.WriteLineAsync("round  minute  batches  batches/s  coordinator ms CPU/batch  MB resident").ConfigureAwait(false);
        while (clock.Elapsed < length || rounds.Count < LeastRounds)
        {
            var round = await PlayAsync(cluster, recording, devices, cancellationToken).ConfigureAwait(false);
            rounds.Add(round);
            await output.WriteLineAsync(
                $"{rounds.Count,5}  {clock.Elapsed.TotalMinutes,6:F1}  {round.Batches,7}  {round.Rate,9:F0}  {round.Milliseconds,24:F2}  {round.ResidentBytes / 1e6,11:F0}").ConfigureAwait(false);
        }

        // In the first third the compiler still works on what is called often.
        var had = watch.CpuHad();
        var third = rounds.Count / 3;
        var (middle, last) = (rounds[third..^third], rounds[^third..]);
        var memory = Machine.Median(last.Select(round => (double)round.ResidentBytes)) / Machine.Median(middle.Select(round => (double)round.ResidentBytes));
        var cost = Machine.Median(last.Select(round => round.Milliseconds)) / Machine.Median(middle.Select(round => round.Milliseconds));
        report.Add(Name, $"memory of the coordinator with {devices} devices after {clock.Elapsed.TotalMinutes:F0} minutes, last third by the one before", memory, "F2", Target.AtMost(1.05), had);
        report.Add(Name, "its processor time for a batch, last third by the one before", cost, "F2", Target.AtMost(1.1), had);
        await output.WriteLineAsync().ConfigureAwait(false);
        await output.WriteLineAsync($"last third of the rounds by the one before, medians: memory {memory:F3}, cost of a batch {cost:F3}; CPU had {had:P0}.").ConfigureAwait(false);
    }

    private static async Task<Round> PlayAsync(Cluster cluster, Recording recording, int devices, CancellationToken cancellationToken)
    {
        var run = await PlayedRun.StartAsync(cluster, recording, Fleet.DeviceEach(Enumerable.Repeat(RowsPerDevice, devices)), cancellationToken).ConfigureAwait(false);
        await using var owned = run.ConfigureAwait(false);
        var (clock, before) = (Stopwatch.StartNew(), cluster.Coordinator.ProcessorTime);
        var ingested = run.IngestedAsync((long)devices * RowsPerDevice, cancellationToken);
        await run.TrainAsync(cancellationToken).ConfigureAwait(false);
        await ingested.ConfigureAwait(false);
        var (used, elapsed) = (cluster.Coordinator.ProcessorTime - before, clock.Elapsed);
        await cluster.EndAsync(run.RunId, cancellationToken).ConfigureAwait(false);
        await cluster.Redis.DeleteAsync("act:", cancellationToken).ConfigureAwait(false);
        return new Round(run.Sent, run.Sent / elapsed.TotalSeconds, used.TotalMilliseconds / run.Sent, cluster.Coordinator.ResidentMemory);
    }

    /// <summary>Clients hold one or two parts each; all of it waits in their queues, and the shares of what is taken in are set against the weights.</summary>
    private static async Task FairnessAsync(Report report, Cluster cluster, Recording recording, int devices, CancellationToken cancellationToken)
    {
        var fleet = Fleet.DeviceEach(Enumerable.Range(0, devices).Select(client => (1 + (client % 2)) * BodiesPerWeight * SamplesPerBody));
        var run = await PlayedRun.StartAsync(cluster, recording, fleet, cancellationToken).ConfigureAwait(false);
        await using var owned = run.ConfigureAwait(false);

        // While the coordinator is away all that they have waits for it.
        await cluster.Coordinator.KillAsync().ConfigureAwait(false);
        await run.PublishAllAsync(SamplesPerBody, Publishers, cancellationToken).ConfigureAwait(false);
        cluster.Coordinator.Start();
        var watch = Machine.Watch();
        var total = (long)fleet.RowsOf.Sum();
        while (run.Taken < TakenShare * total)
        {
            await Task.Delay(s_look, cancellationToken).ConfigureAwait(false);
        }

        // What is left in the queues is exact; the news of what was taken in comes later, and of several messages at once.
        var had = watch.CpuHad();
        await cluster.Coordinator.KillAsync().ConfigureAwait(false);
        var left = await run.WaitingAsync(cluster.Broker.ConnectionString, cancellationToken).ConfigureAwait(false);
        double[] bodies = [.. fleet.RowsOf.Select((rows, client) => (rows / (double)SamplesPerBody) - left[client])];
        var shares = fleet.RowsOf.Select((rows, client) => bodies[client] / bodies.Sum() / (rows / (double)total)).Order().ToArray();
        var furthest = Math.Max(1 - shares[0], shares[^1] - 1);
        report.Add(Name, $"share of {devices} clients with a backlog by their weights, the furthest off", furthest, "P1", Target.AtMost(0.05), had);
        await report.Output.WriteLineAsync(
            $"fairness: {bodies.Sum():F0} bodies of {devices} clients with weights 1 and 2 taken in; shares by weight {shares[0]:F3} to {shares[^1]:F3}; CPU had {had:P0}.").ConfigureAwait(false);
    }

    private sealed record Round(long Batches, double Rate, double Milliseconds, long ResidentBytes);
}
