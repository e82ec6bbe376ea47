using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Training.Checkpoints;
using SplitFrozen.Training.FineTuning;
using TorchSharp;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Tests.FineTuning;

public sealed class FineTunerTests
{
    private static readonly TrainingSpec _spec = new() { LearningRate = 0.01, Schedule = "constant", WarmupRatio = 0, BatchSize = 8, MicroBatch = 8, WeightDecay = 0 };

    [Theory]
    [InlineData(HeadKind.Classification, 1)]
    [InlineData(HeadKind.Classification, 3)]
    [InlineData(HeadKind.LanguageModel, 3)]
    public void Train_AnySplitIntoMicroBatches_GivesTheGradientOfTheWholeStep(HeadKind head, int microBatch)
    {
        using var whole = new Run(head, _spec);
        using var split = new Run(head, _spec with { MicroBatch = microBatch });
        var (expected, actual) = (whole.Train(0), split.Train(0));
        Assert.Equal(expected.Loss, actual.Loss, 1e-6);
        Assert.Equal(expected.GradientNorm, actual.GradientNorm, expected.GradientNorm * 1e-5);
        Assert.Equal((expected.CountedLabels, expected.CorrectPredictions, expected.Tokens), (actual.CountedLabels, actual.CorrectPredictions, actual.Tokens));
        Assert.True(whole.FirstMoments().allclose(split.FirstMoments(), rtol: 1e-4, atol: 1e-8));
    }

    [Fact]
    public void Train_Gradient_IsTheSlopeOfTheLoss()
    {
        // With momentum off in the first step the moments hold 0.1 times the gradient; its norm squared is the slope along it.
        using var run = new Run(HeadKind.Classification, _spec with { MaxGradientNorm = 0, LearningRate = 1e-12 });
        var norm = run.Train(0).GradientNorm;
        const double Distance = 1e-2;
        var up = run.LossAlongGradient(Distance / norm);
        var down = run.LossAlongGradient(-Distance / norm);
        Assert.Equal(norm, (up - down) / (2 * Distance), norm * 1e-2);
    }

    [Fact]
    public void Train_LowerCuts_MeetTheSameModelInTheSameOrder()
    {
        using var atBoundary = new Run(HeadKind.Classification, _spec, [2]);
        using var mixed = new Run(HeadKind.Classification, _spec, [1, 2, 1]);
        var (expected, actual) = (atBoundary.Train(0), mixed.Train(0));
        Assert.Equal(expected.Loss, actual.Loss, 1e-6);
        Assert.True(atBoundary.FirstMoments().allclose(mixed.FirstMoments(), rtol: 1e-4, atol: 1e-7));
    }

    [Fact]
    public void Train_TwentySteps_LowersTheLoss()
    {
        using var run = new Run(HeadKind.Classification, _spec);
        var first = run.Train(0).Loss;
        for (var step = 1; step < 20; step++)
        {
            _ = run.Train(step);
        }

        Assert.True(run.Train(20).Loss < 0.7 * first);
    }

    [Fact]
    public void Train_FiveStepsCheckpointAndFiveMore_EqualsTenBitForBit()
    {
        using var folder = new TemporaryFolder();
        var spec = _spec with { Schedule = "cosine", WarmupRatio = 0.2, MicroBatch = 3, WeightDecay = 0.01 };
        using var straight = new Run(HeadKind.Classification, spec, [1, 2], dropout: 0.3);
        straight.TrainAll(0, 10);
        using (var first = new Run(HeadKind.Classification, spec, [1, 2], dropout: 0.3))
        {
            first.TrainAll(0, 5);
            _ = new CheckpointFolder(folder.Path).Write(new TrainingPosition { Step = 5, SpecificationHash = "s" }, first.Tuner.Optimizer);
        }

        using var second = new Run(HeadKind.Classification, spec, [1, 2], dropout: 0.3);
        Assert.NotEqual(straight.Bytes(), second.Bytes());
        _ = new CheckpointFolder(folder.Path).ReadLatest(second.Tuner.Optimizer, "s");
        second.TrainAll(5, 10);
        Assert.Equal(straight.Bytes(), second.Bytes());
    }

    [Theory]
    [InlineData(HeadKind.Classification)]
    [InlineData(HeadKind.LanguageModel)]
    public void Train_AndEvaluate_LeaveNoTensorBehind(HeadKind head)
    {
        using var run = new Run(head, _spec with { MicroBatch = 3 }, [1, 2], dropout: 0.2);
        _ = run.Train(0);
        var alive = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        _ = run.Train(1);
        run.Tuner.EvaluateInto(new EvaluationAccumulator(head == HeadKind.Classification ? new ThreeClasses() : new NextToken()), run.Samples);
        Assert.Equal(alive, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void Train_OtherSeed_DrawsOtherDropout()
    {
        using var one = new Run(HeadKind.Classification, _spec, dropout: 0.5);
        using var two = new Run(HeadKind.Classification, _spec, dropout: 0.5, seed: 2);
        Assert.NotEqual(one.Train(0).Loss, two.Train(0).Loss);
    }

    [Fact]
    public void Train_NotFiniteInput_ThrowsAndKeepsTheParameters()
    {
        using var run = new Run(HeadKind.Classification, _spec);
        var before = run.Bytes();
        using var bad = full([3, 16], float.NaN);
        var sample = run.Samples[0] with { Hidden = bad, Cut = 2 };
        var exception = Assert.Throws<TrainingDivergedException>(() => run.Tuner.Train(4, [run.Samples[1], sample]));
        Assert.Equal(4, exception.Step);
        Assert.Equal(before, run.Bytes());
        Assert.True(double.IsFinite(run.Train(5).Loss));
    }

    [Fact]
    public void Train_WrongNumberOfLabels_NamesTheSample()
    {
        using var run = new Run(HeadKind.Classification, _spec);
        var exception = Assert.Throws<ArgumentException>(() => run.Tuner.Train(0, [run.Samples[2] with { Labels = [1, 2] }]));
        Assert.Contains("train:2", exception.Message);
    }

    [Fact]
    public void EvaluateInto_InTwoParts_EqualsTheForwardPassOfAll()
    {
        using var run = new Run(HeadKind.Classification, _spec with { MicroBatch = 2 });
        var accumulator = new EvaluationAccumulator(new ThreeClasses());
        run.Tuner.EvaluateInto(accumulator, run.Samples[..3]);
        run.Tuner.EvaluateInto(accumulator, run.Samples[3..]);
        Assert.Equal(8, accumulator.Samples);
        Assert.Equal(run.LossAlongGradient(0), accumulator.Loss, 1e-6);
        Assert.Equal((double)run.Train(0).CorrectPredictions / 8, accumulator.Metrics()["accuracy"], 1e-12);
    }

    [Fact]
    public void EvaluateInto_LanguageModel_WeighsByCountedTokens()
    {
        using var run = new Run(HeadKind.LanguageModel, _spec with { MicroBatch = 3 });
        var accumulator = new EvaluationAccumulator(new NextToken());
        run.Tuner.EvaluateInto(accumulator, run.Samples);
        var step = run.Train(0);
        Assert.Equal(step.Loss, accumulator.Loss, 1e-6);
        Assert.Equal((double)step.CorrectPredictions / step.CountedLabels, accumulator.Metrics()["token_accuracy"], 1e-12);
    }

    private sealed class Run : IDisposable
    {
        private readonly SmallModel _files = new();
        private readonly UpperModel _model;

        public Run(HeadKind head, TrainingSpec spec, int[]? cuts = null, double dropout = 0, ulong seed = 1)
        {
            _model = _files.Open(head: head, dropout: dropout);
            SmallModel.Perturb(_model);
            Samples = _files.Samples(8, cuts ?? [2], head == HeadKind.LanguageModel);
            Tuner = new FineTuner(_model, spec, 30, seed, head == HeadKind.LanguageModel);
        }

        public TrainingSample[] Samples { get; }

        public FineTuner Tuner { get; }

        public StepResult Train(int step) => Tuner.Train(step, Samples);

        public void TrainAll(int from, int to)
        {
            for (var step = from; step < to; step++)
            {
                _ = Tuner.Train(step, Samples[(step % 2)..]);
            }
        }

        public Tensor FirstMoments() => cat([.. Tuner.Optimizer.State().Parameters.Select(state => state.FirstMoment.flatten())], 0);

        public byte[] Bytes() => [.. Tuner.Optimizer.State().Parameters.SelectMany(state => (byte[])[
            .. Torch.TensorBytes.ToBytes(state.Value), .. Torch.TensorBytes.ToBytes(state.FirstMoment), .. Torch.TensorBytes.ToBytes(state.SecondMoment)])];

        /// <summary>Loss after moving the parameters along the first step's gradient, and back again.</summary>
        public double LossAlongGradient(double distance)
        {
            using var frozen = no_grad();
            using var scope = NewDisposeScope();
            var states = Tuner.Optimizer.State().Parameters;
            foreach (var state in states)
            {
                state.Value.add_(state.FirstMoment, 10 * distance);
            }

            var hidden = cat([.. Samples.Select(sample => sample.Hidden)], 0);
            using var layout = new SequenceLayout([.. Samples.Select(sample => (int)sample.Hidden.shape[0])]);
            using var pass = _model.Forward(hidden, layout, [.. Samples.SelectMany(sample => sample.Labels)], 0, training: false);
            foreach (var state in states)
            {
                state.Value.add_(state.FirstMoment, -10 * distance);
                state.Dispose();
            }

            return pass.Loss;
        }

        public void Dispose()
        {
            Tuner.Dispose();
            _model.Dispose();
            _files.Dispose();
            Array.ForEach(Samples, sample => sample.Hidden.Dispose());
        }
    }
}
