using System.Diagnostics;
using SplitFrozen.Contracts.Events;
using SplitFrozen.TestServers;

namespace SplitFrozen.Bench;

/// <summary>A run of the demo on a cluster, as a user starts it.</summary>
/// <param name="Seconds">From the coordinator's plan to the last step.</param>
/// <param name="WaitSeconds">In which the trainer waited for steps.</param>
/// <param name="StartSeconds">From the submission to the plan.</param>
/// <param name="AllSeconds">From the submission to the end.</param>
/// <param name="Cached">Samples that were in the cache at the plan.</param>
/// <param name="Processor">Processor seconds of each service, in the cluster's order, from the submission to the end.</param>
internal readonly record struct DemoRun(double Seconds, double WaitSeconds, double StartSeconds, double AllSeconds, int Cached, double[] Processor)
{
    /// <summary>Submits a run and watches it to its end.</summary>
    /// <exception cref="InvalidOperationException">The run failed.</exception>
    public static async Task<DemoRun> PlayAsync(Cluster cluster, int epochs, string wireType, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        var submitted = TimeProvider.System.GetUtcNow();
        var before = Processors(cluster);
        var run = await cluster.SubmitAsync(
            Path.Combine(Programs.Root, "samples", "demo.yaml"), cancellationToken, "--set", $"training.epochs={epochs}", "--set", $"device.wire_type={wireType}").ConfigureAwait(false);
        var (code, lines, error) = await cluster.CommandAsync(cancellationToken, "watch", run, "--json").ConfigureAwait(false);
        if (code != 0)
        {
            throw new InvalidOperationException($"The run failed: {error}\n{cluster.Logs()}");
        }

        var all = clock.Elapsed.TotalSeconds;
        var events = lines.Split('\n').Select(RunEvent.FromJson).OfType<RunEvent>().ToArray();
        var plan = events.OfType<RunPlannedEvent>().Last();
        var steps = events.OfType<StepAppliedEvent>().ToArray();
        return new DemoRun(
            (steps[^1].Time - plan.Time).TotalSeconds, steps.Sum(step => step.WaitSeconds), (plan.Time - submitted).TotalSeconds, all, plan.CachedSamples,
            [.. Processors(cluster).Zip(before, (now, then) => now - then)]);
    }

    private static double[] Processors(Cluster cluster) => [.. cluster.Services.Select(service => service.ProcessorTime.TotalSeconds)];
}
