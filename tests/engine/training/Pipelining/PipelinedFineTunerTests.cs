using System.Runtime.InteropServices;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.Models;
using SplitFrozen.Pipelining;
using SplitFrozen.Tasks;
using SplitFrozen.Tests;
using SplitFrozen.Training.FineTuning;
using SplitFrozen.Training.Optimization;
using SplitFrozen.Training.Pipelining;
using SplitFrozen.Training.Tests.FineTuning;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Tests.Pipelining;

/// <summary>Training over stages gives the bits of training in one piece.</summary>
public sealed class PipelinedFineTunerTests
{
    private const int Steps = 6;

    private static readonly TrainingSpec s_spec = new()
    {
        LearningRate = 0.01, Schedule = "cosine", WarmupRatio = 0.2, BatchSize = 8, MicroBatch = 3, MaxGradientNorm = 0.5, WeightDecay = 0.01,
    };

    public static TheoryData<PipelineScheduleKind, int, HeadKind, ModelFamily> Cases
    {
        get
        {
            var cases = new TheoryData<PipelineScheduleKind, int, HeadKind, ModelFamily>();
            foreach (var kind in Enum.GetValues<PipelineScheduleKind>())
            {
                foreach (var stages in new[] { 1, 2, 4 })
                {
                    cases.Add(kind, stages, HeadKind.Classification, ModelFamily.Gpt2);
                    cases.Add(kind, stages, HeadKind.LanguageModel, ModelFamily.Llama);
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Train_OverStages_GivesTheBitsOfOnePiece(PipelineScheduleKind kind, int stages, HeadKind head, ModelFamily family)
    {
        using var work = new Work(boundary: 0, head, family, cuts: [0]);
        var expected = work.TrainInOnePiece(s_spec);
        var actual = await work.TrainOverStagesAsync(s_spec, kind, StagePartition.Balanced(0, [1, 1, 1, 1], stages));
        AssertSame(expected, actual);
    }

    [Fact]
    public async Task Train_LowerCuts_AreCaughtUpByTheFirstStage()
    {
        using var work = new Work(boundary: 1, HeadKind.Classification, ModelFamily.Gpt2, cuts: [0, 1]);
        AssertSame(work.TrainInOnePiece(s_spec), await work.TrainOverStagesAsync(s_spec, PipelineScheduleKind.ZeroBubble, [1, 2, 4]));
    }

    [Fact]
    public async Task Train_MicroBatchWithoutLabels_SendsNothingDown()
    {
        using var work = new Work(boundary: 0, HeadKind.LanguageModel, ModelFamily.Llama, cuts: [0]);
        Array.Fill(work.Samples[4].Labels, -100);
        var spec = s_spec with { MicroBatch = 1 };
        AssertSame(work.TrainInOnePiece(spec), await work.TrainOverStagesAsync(spec, PipelineScheduleKind.ZeroBubble, [0, 1, 4]));
    }

    [Fact]
    public async Task Train_StageThatFails_AbandonsTheStepOnAllAndTheNextAttemptIsAsUndisturbed()
    {
        using var work = new Work(boundary: 0, HeadKind.Classification, ModelFamily.Gpt2, cuts: [0]);
        var expected = work.TrainInOnePiece(s_spec);
        var bad = work.Samples.ToArray();
        bad[7] = bad[7] with { Labels = [99] };
        var actual = await work.TrainOverStagesAsync(s_spec, PipelineScheduleKind.ZeroBubble, [0, 1, 2, 3, 4], async tuner =>
        {
            var error = await Assert.ThrowsAsync<ArgumentException>(() => tuner.TrainAsync(0, 0.01, bad, TestContext.Current.CancellationToken));
            Assert.Contains("Label 99", error.Message, StringComparison.Ordinal);
        });
        AssertSame(expected, actual);
    }

    [Fact]
    public async Task Train_NumbersThatDiverge_AreRefusedAndNothingIsUpdated()
    {
        using var work = new Work(boundary: 0, HeadKind.Classification, ModelFamily.Gpt2, cuts: [0]);
        var expected = work.TrainInOnePiece(s_spec);
        using var infinite = full_like(work.Samples[0].Hidden, float.PositiveInfinity);
        var actual = await work.TrainOverStagesAsync(s_spec, PipelineScheduleKind.OneForwardOneBackward, [0, 2, 4], async tuner =>
            await Assert.ThrowsAsync<TrainingDivergedException>(
                () => tuner.TrainAsync(0, 0.01, [work.Samples[0] with { Hidden = infinite }, .. work.Samples[1..]], TestContext.Current.CancellationToken)));
        AssertSame(expected, actual);
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(3, 2)]
    [InlineData(5, 2)]
    public async Task Train_OverReplicas_EqualsOneWithin1e6AndAllReplicasAreTheSameBits(int replicas, int stages)
    {
        using var work = new Work(boundary: 0, HeadKind.Classification, ModelFamily.Gpt2, cuts: [0]);
        var spec = s_spec with { MicroBatch = 2 };
        var (expected, expectedState) = work.TrainInOnePiece(spec);
        var (actual, actualState) = await work.TrainOverStagesAsync(spec with { Replicas = replicas }, PipelineScheduleKind.ZeroBubble, StagePartition.Balanced(0, [1, 1, 1, 1], stages));
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First.Loss, pair.Second.Loss, 1e-6));
        var (one, several) = (MemoryMarshal.Cast<byte, float>(expectedState).ToArray(), MemoryMarshal.Cast<byte, float>(actualState).ToArray());
        Assert.All(one.Zip(several), pair => Assert.Equal(pair.First, pair.Second, 1e-6f));
    }

    [Theory]
    [InlineData(HeadKind.Classification, ModelFamily.Gpt2)]
    [InlineData(HeadKind.LanguageModel, ModelFamily.Llama)]
    public async Task Evaluate_OverStagesAndReplicas_EqualsOnePiece(HeadKind head, ModelFamily family)
    {
        using var work = new Work(boundary: 0, head, family, cuts: [0]);
        ITask task = head == HeadKind.Classification ? new ThreeClasses() : new NextToken();
        var expected = work.EvaluateInOnePiece(s_spec, task);
        var actual = await work.EvaluateOverStagesAsync(s_spec with { Replicas = 2 }, [0, 1, 3, 4], task);
        Assert.Equal(expected.Metrics(), actual.Metrics());
        Assert.Equal(expected.Samples, actual.Samples);
    }

    [Fact]
    public async Task Train_SomebodyListens_TellsEveryPassAndTransferOfEveryStage()
    {
        using var recorded = new RecordedActivities(TelemetryNames.Training);
        using var work = new Work(boundary: 0, HeadKind.Classification, ModelFamily.Gpt2, cuts: [0]);
        _ = await work.TrainOverStagesAsync(s_spec with { BatchSize = 8, MicroBatch = 4 }, PipelineScheduleKind.ZeroBubble, [0, 2, 4]);
        var step = recorded.Ended.First(span => span.OperationName == SpanNames.TrainStep);
        var parts = recorded.Ended.Where(span => span.ParentSpanId == step.SpanId)
            .Select(span => (Stage: (long)span.GetTagItem(TelemetryNames.Stage)!, span.OperationName, MicroBatch: (long?)span.GetTagItem(TelemetryNames.MicroBatch)));
        string[] both = [SpanNames.Forward, SpanNames.BackwardInput, SpanNames.BackwardWeight, SpanNames.TransferActivation, SpanNames.TransferGradient];
        var expected = from stage in new[] { 0L, 1L } from name in both from microBatch in new long?[] { 0, 1 } select (stage, name, microBatch);
        Assert.Equal(expected.Concat([(0L, SpanNames.OptimizerStep, null), (1L, SpanNames.OptimizerStep, null)]).Order(), parts.Order());
    }

    [Fact]
    public void Choose_WithoutBoundaries_MeasuresAndCutsBetweenTheBlocks()
    {
        using var work = new Work(boundary: 1, HeadKind.Classification, ModelFamily.Gpt2, cuts: [1]);
        Assert.Equal([1, 2, 3, 4], work.Choose([], 3));
        Assert.Equal([1, 3, 4], work.Choose([3], 2));
        Assert.Contains("3 trained blocks cannot be cut into 4 stages", Assert.Throws<ArgumentException>(() => work.Choose([], 4)).Message, StringComparison.Ordinal);
        Assert.Contains("training.stage_boundaries [4]", Assert.Throws<ArgumentException>(() => work.Choose([4], 2)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, new double[] { 1, 1, 1, 1 }, new[] { 3, 5, 7 })]
    [InlineData(2, new double[] { 1, 1, 1, 3 }, new[] { 3, 6, 7 })]
    [InlineData(3, new double[] { 4, 1, 1, 1, 1 }, new[] { 3, 4, 5, 8 })]
    [InlineData(4, new double[] { 1, 1, 1, 1 }, new[] { 3, 4, 5, 6, 7 })]
    [InlineData(1, new double[] { 1, 2 }, new[] { 3, 5 })]
    public void Balanced_SlowestStage_IsAsFastAsItCanBe(int stages, double[] costs, int[] boundaries)
    {
        var actual = StagePartition.Balanced(3, costs, stages);
        Assert.Equal(Slowest(boundaries), Slowest(actual));
        Assert.Equal(boundaries, actual);

        double Slowest(int[] at) => Enumerable.Range(0, stages).Max(stage => costs.Skip(at[stage] - 3).Take(at[stage + 1] - at[stage]).Sum());
    }

    private static void AssertSame((StepResult[] Results, byte[] State) expected, (StepResult[] Results, byte[] State) actual)
    {
        Assert.Equal(expected.Results, actual.Results);
        Assert.Equal(expected.State, actual.State);
    }

    private sealed class Work : IDisposable
    {
        private readonly SmallModel _files;
        private readonly UpperModelOptions _options;
        private readonly bool _labelsPerToken;

        public Work(int boundary, HeadKind head, ModelFamily family, int[] cuts)
        {
            _files = new SmallModel(family);
            _labelsPerToken = head == HeadKind.LanguageModel;
            _options = new UpperModelOptions
            {
                LowestCut = cuts.Min(), Boundary = boundary, Head = head, Classes = _labelsPerToken ? 0 : 3, Lora = SmallModel.Lora(family, dropout: 0.3), Seed = 11,
            };
            Samples = _files.Samples(8, cuts, _labelsPerToken);
        }

        public TrainingSample[] Samples { get; }

        public (StepResult[] Results, byte[] State) TrainInOnePiece(TrainingSpec spec)
        {
            using var model = UpperModel.Open(_files.Folder, _options);
            SmallModel.Perturb(model);
            using var tuner = new FineTuner(model, spec, Steps, seed: 7, _labelsPerToken);
            return ([.. Enumerable.Range(0, Steps).Select(step => tuner.Train(step, Samples[(step % 2)..]))], Bytes(tuner.Optimizer));
        }

        public async Task<(StepResult[] Results, byte[] State)> TrainOverStagesAsync(
            TrainingSpec spec, PipelineScheduleKind kind, int[] boundaries, Func<PipelinedFineTuner, Task>? before = null)
        {
            await using var stages = await LocalStageSet.OpenAsync(_files.Folder, _options, boundaries, spec, seed: 7, TimeProvider.System);
            CopyPerturbed(stages);
            var tuner = new PipelinedFineTuner(stages, kind, spec, _labelsPerToken);
            if (before is not null)
            {
                await before(tuner);
            }

            var rates = LearningRateSchedule.Create(spec.Schedule, spec.LearningRate, spec.WarmupRatio, Steps);
            var results = new List<StepResult>();
            for (var step = 0; step < Steps; step++)
            {
                results.Add(await tuner.TrainAsync(step, rates.At(step), Samples[(step % 2)..], TestContext.Current.CancellationToken));
            }

            // What was measured is what the schedule says: each stage's own order, and nothing before what it needs.
            var timeline = tuner.Timeline!;
            Assert.Equal(PipelineSchedule.Create(timeline.Schedule.Request).ToString(), string.Join('\n', timeline.Stages.Select(stage => string.Join(' ', stage.Select(timed => timed.Action)))));
            Assert.All(timeline.Stages, stage => Assert.Equal(stage.OrderBy(timed => timed.Start), stage));
            Assert.InRange(timeline.BubbleShare, 0, 1);
            var replicas = stages.Replicas.Select(async replica => Bytes(TrainingState.Join(await Task.WhenAll(replica.Select(stage => stage.ReadStateAsync())))));
            var states = await Task.WhenAll(replicas);
            Assert.All(states, state => Assert.Equal(states[0], state));
            return ([.. results], states[0]);
        }

        public EvaluationAccumulator EvaluateInOnePiece(TrainingSpec spec, ITask task)
        {
            using var model = UpperModel.Open(_files.Folder, _options);
            SmallModel.Perturb(model);
            using var tuner = new FineTuner(model, spec, Steps, seed: 7, _labelsPerToken);
            var accumulator = new EvaluationAccumulator(task);
            tuner.EvaluateInto(accumulator, Samples);
            return accumulator;
        }

        public async Task<EvaluationAccumulator> EvaluateOverStagesAsync(TrainingSpec spec, int[] boundaries, ITask task)
        {
            await using var stages = await LocalStageSet.OpenAsync(_files.Folder, _options, boundaries, spec, seed: 7, TimeProvider.System);
            CopyPerturbed(stages);
            var accumulator = new EvaluationAccumulator(task);
            await new PipelinedFineTuner(stages, PipelineScheduleKind.ZeroBubble, spec, _labelsPerToken).EvaluateIntoAsync(accumulator, Samples, TestContext.Current.CancellationToken);
            return accumulator;
        }

        /// <summary>The boundaries that are chosen where none are given.</summary>
        public int[] Choose(int[] chosen, int stages)
        {
            using var thread = new Torch.ComputeThread("choose", 1);
            return thread.RunAsync(() => StagePartition.Choose(_files.Folder, _options, chosen, stages, TimeProvider.System)).GetAwaiter().GetResult();
        }

        public void Dispose()
        {
            Array.ForEach(Samples, sample => sample.Hidden.Dispose());
            _files.Dispose();
        }

        /// <summary>The stages' parameters are those of the whole by name, in its order.</summary>
        private void CopyPerturbed(LocalStageSet stages)
        {
            using var whole = UpperModel.Open(_files.Folder, _options);
            var replicas = stages.Models.Select(models => models.SelectMany(model => model.Parameters).ToArray()).ToArray();
            Assert.All(replicas, parts =>
            {
                Assert.Equal(whole.Parameters.Select(parameter => parameter.Name), parts.Select(parameter => parameter.Name));
                Assert.All(whole.Parameters.Zip(parts), pair => Assert.Equal(Torch.TensorBytes.ToBytes(pair.First.Value), Torch.TensorBytes.ToBytes(pair.Second.Value)));
            });
            SmallModel.Perturb(whole);
            using var frozen = no_grad();
            foreach (var (from, to) in replicas.SelectMany(parts => whole.Parameters.Zip(parts)))
            {
                _ = to.Value.copy_(from.Value);
            }
        }

        private static byte[] Bytes(AdamW optimizer) => Bytes(optimizer.State());

        private static byte[] Bytes(TrainingState state)
        {
            using (state)
            {
                return [.. state.Parameters.SelectMany(parameter => (byte[])[
                    .. Torch.TensorBytes.ToBytes(parameter.Value), .. Torch.TensorBytes.ToBytes(parameter.FirstMoment), .. Torch.TensorBytes.ToBytes(parameter.SecondMoment)])];
            }
        }
    }
}
