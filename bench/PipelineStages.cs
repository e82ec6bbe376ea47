using System.Collections.Concurrent;
using System.Diagnostics;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Pipelining;
using SplitFrozen.Torch;
using SplitFrozen.Training.FineTuning;
using SplitFrozen.Training.Pipelining;
using static TorchSharp.torch;

namespace SplitFrozen.Bench;

/// <summary>
/// The bubble of a pipeline against the formula, what decomposed backward and what the overlap of devices and server gain, each by
/// itself; and the step rate of two stages of one thread against one trainer of two threads.
/// </summary>
internal static class PipelineStages
{
    private const int MicroBatches = 8;
    private const int Rounds = 5;
    private const double Allowed = 0.10;

    // A stage that sleeps takes no core, so that four of them run at once on two.
    private static readonly TimeSpan s_unit = TimeSpan.FromMilliseconds(25);

    private static readonly ManualResetEventSlim s_never = new(initialState: false, spinCount: 0);

    private static readonly (string Name, PipelineScheduleKind Kind)[] s_kinds =
        [("GPipe", PipelineScheduleKind.GPipe), ("1F1B", PipelineScheduleKind.OneForwardOneBackward), ("ZB-H1", PipelineScheduleKind.ZeroBubble)];

    internal static async Task RunAsync(Report report)
    {
        var output = report.Output;
        await output.WriteLineAsync($"stages: {MicroBatches} micro-batches; every stage sleeps {s_unit.TotalMilliseconds} ms for a unit of cost, on a thread of its own; medians of {Rounds}").ConfigureAwait(false);
        await output.WriteLineAsync().ConfigureAwait(false);
        await BubblesAsync(report).ConfigureAwait(false);
        await GainsAsync(output).ConfigureAwait(false);
        await StepRatesAsync(output).ConfigureAwait(false);
    }

    private static async Task BubblesAsync(Report report)
    {
        var output = report.Output;
        await output.WriteLineAsync("F = B = W = 1      stages  bubble measured  by formula  step over its formula").ConfigureAwait(false);
        foreach (var stages in new[] { 2, 4 })
        {
            foreach (var (name, kind) in s_kinds)
            {
                var timelines = await MeasureAsync(new ScheduleRequest(kind, stages, MicroBatches), StageCost.Unit).ConfigureAwait(false);
                var (share, formula) = (Machine.Median(timelines.Select(timeline => timeline.BubbleShare)), Bubble.Share(kind, stages, MicroBatches, StageCost.Unit));
                var expected = s_unit.TotalSeconds * ((MicroBatches * StageCost.Unit.Total) + Bubble.Time(kind, stages, MicroBatches, StageCost.Unit));
                var ratio = Machine.Median(timelines.Select(timeline => timeline.Length)) / expected;
                report.Add("stages", $"bubble by its formula, {name}, {stages} stages", share / formula, "F2", Target.AtMost(1 + Allowed), 1);
                await output.WriteLineAsync(
                    $"{name,-17}  {stages,6}  {share,15:P1}  {formula,10:P1}  {ratio,21:F3}  {(Math.Abs(share - formula) <= Allowed * formula ? "within" : "NOT within")} {Allowed:P0}").ConfigureAwait(false);
            }
        }

        await output.WriteLineAsync().ConfigureAwait(false);
    }

    private static async Task GainsAsync(TextWriter output)
    {
        await output.WriteLineAsync("4 stages           step ms  gain").ConfigureAwait(false);
        foreach (var cost in new[] { StageCost.Unit, new StageCost(1, 1, 0.04) })
        {
            var whole = await StepAsync(PipelineScheduleKind.OneForwardOneBackward, cost, devices: 0).ConfigureAwait(false);
            var decomposed = await StepAsync(PipelineScheduleKind.ZeroBubble, cost, devices: 0).ConfigureAwait(false);
            await output.WriteLineAsync($"W = {cost.BackwardWeight,-4} 1F1B       {whole,7:F0}").ConfigureAwait(false);
            await output.WriteLineAsync($"         B, W apart {decomposed,6:F0}  {1 - (decomposed / whole),5:P1}").ConfigureAwait(false);
        }

        var alone = await StepAsync(PipelineScheduleKind.ZeroBubble, StageCost.Unit, devices: 0).ConfigureAwait(false) + (MicroBatches * s_unit.TotalMilliseconds);
        var overlapped = await StepAsync(PipelineScheduleKind.ZeroBubble, StageCost.Unit, devices: 1).ConfigureAwait(false);
        await output.WriteLineAsync($"W = 1    device, then server {alone,6:F0}").ConfigureAwait(false);
        await output.WriteLineAsync($"         device overlapped   {overlapped,6:F0}  {1 - (overlapped / alone),5:P1}").ConfigureAwait(false);
        await output.WriteLineAsync().ConfigureAwait(false);
    }

    private static async Task<double> StepAsync(PipelineScheduleKind kind, StageCost cost, int devices)
    {
        var timelines = await MeasureAsync(new ScheduleRequest(kind, 4, MicroBatches) { ForwardStages = devices }, cost).ConfigureAwait(false);
        return 1000 * Machine.Median(timelines.Select(timeline => timeline.Length));
    }

    private static async Task<PipelineTimeline[]> MeasureAsync(ScheduleRequest request, StageCost cost)
    {
        var schedule = CommunicationPass.Insert(PipelineSchedule.Create(request));
        var timelines = new PipelineTimeline[Rounds];
        for (var round = 0; round < Rounds; round++)
        {
            var count = schedule.Stages.Count;
            SleepingLink[] links = [.. Enumerable.Range(0, count - 1).Select(_ => new SleepingLink())];
            var origin = TimeProvider.System.GetTimestamp();
            var stages = Enumerable.Range(0, count).Select(stage => Task.Factory.StartNew(
                () => StageRuntime.Run(
                    schedule.Stages[stage], new SleepingStage(cost, stage == 0 ? null : links[stage - 1], stage == count - 1 ? null : links[stage]), TimeProvider.System, origin, CancellationToken.None),
                CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToArray();
            timelines[round] = PipelineTimeline.Measured(schedule, await Task.WhenAll(stages).ConfigureAwait(false));
            Array.ForEach(links, link => link.Dispose());
        }

        return timelines;
    }

    private static async Task StepRatesAsync(TextWriter output)
    {
        var path = Directory.CreateTempSubdirectory("splitfrozen-bench-").FullName;
        try
        {
            ModelInitialization.Write(path, TrainingStep.Config, seed: 1);
            using var folder = ModelFolder.Open(path);
            var watch = Machine.Watch();
            var (one, two) = await RatesAsync(folder).ConfigureAwait(false);
            await output.WriteLineAsync($"{Machine.Description}; GPT-2-small shapes, 6 blocks, {MicroBatches} micro-batches of one sequence of 128 tokens; steps in turn, medians of {Rounds}").ConfigureAwait(false);
            await output.WriteLineAsync("one trainer, two threads, ms  two stages, one thread each, ms  step rate  CPU had").ConfigureAwait(false);
            await output.WriteLineAsync($"{one,28:F0}  {two,31:F0}  {one / two,9:P0}  {watch.CpuHad(),7:P0}   target: at least 90 %").ConfigureAwait(false);
        }
        finally
        {
            Directory.Delete(path, recursive: true);
        }
    }

    private static async Task<(double One, double Two)> RatesAsync(ModelFolder folder)
    {
        var options = TrainingStep.Options;
        var spec = new TrainingSpec { BatchSize = MicroBatches, MicroBatch = 1 };
        using var compute = new ComputeThread("one trainer", 2);
        var samples = await compute.RunAsync(() => Enumerable.Range(0, MicroBatches)
            .Select(n => new TrainingSample(SampleId.Training(n), 0, randn(128, TrainingStep.Config.Width), [n % 2])).ToArray()).ConfigureAwait(false);
        var model = await compute.RunAsync(() => UpperModel.Open(folder, options)).ConfigureAwait(false);
        var tuner = await compute.RunAsync(() => new FineTuner(model, spec, 100, seed: 1, labelsPerToken: false)).ConfigureAwait(false);
        var boundaries = StagePartition.Balanced(0, [.. Enumerable.Repeat(1.0, TrainingStep.Config.Layers)], 2);
        var stages = await LocalStageSet.OpenAsync(folder, options, boundaries, spec, seed: 1, TimeProvider.System).ConfigureAwait(false);
        await using (stages.ConfigureAwait(false))
        {
            var piped = new PipelinedFineTuner(stages, PipelineScheduleKind.ZeroBubble, spec, labelsPerToken: false);
            var (one, two) = (new List<double>(), new List<double>());
            for (var step = 0; step <= Rounds; step++)
            {
                var clock = Stopwatch.StartNew();
                _ = await compute.RunAsync(() => tuner.Train(step, samples)).ConfigureAwait(false);
                one.Add(clock.Elapsed.TotalMilliseconds);
                clock.Restart();
                _ = await piped.TrainAsync(step, spec.LearningRate, samples, CancellationToken.None).ConfigureAwait(false);
                two.Add(clock.Elapsed.TotalMilliseconds);
            }

            tuner.Dispose();
            model.Dispose();
            return (Machine.Median(one.Skip(1)), Machine.Median(two.Skip(1)));
        }
    }

    private sealed class SleepingLink : IDisposable
    {
        public BlockingCollection<int> Activations { get; } = [];

        public BlockingCollection<int> Gradients { get; } = [];

        public void Dispose()
        {
            Activations.Dispose();
            Gradients.Dispose();
        }
    }

    private sealed class SleepingStage(StageCost cost, SleepingLink? before, SleepingLink? behind) : IStageWork
    {
        public void Forward(int microBatch) => Sleep(cost.Forward);

        public void BackwardInput(int microBatch) => Sleep(cost.BackwardInput);

        public void BackwardWeight(int microBatch) => Sleep(cost.BackwardWeight);

        public void ReceiveActivation(int microBatch, CancellationToken cancellationToken) => _ = before!.Activations.Take(cancellationToken);

        public void SendActivation(int microBatch) => behind!.Activations.Add(microBatch, CancellationToken.None);

        public void ReceiveGradient(int microBatch, CancellationToken cancellationToken) => _ = behind!.Gradients.Take(cancellationToken);

        public void SendGradient(int microBatch) => before!.Gradients.Add(microBatch, CancellationToken.None);

        // Nothing ever sets it: a wait that always runs to its end.
        private static void Sleep(double units) => _ = s_never.Wait(units * s_unit);
    }
}
