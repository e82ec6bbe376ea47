using SplitFrozen.Models;
using SplitFrozen.Tokenizers;
using SplitFrozen.Training.Checkpoints;
using SplitFrozen.Training.Pretraining;

namespace SplitFrozen.Training.Tests.Pretraining;

public sealed class PretrainerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Run_RepetitiveText_LearnsIt()
    {
        var progress = new List<PretrainProgress>();
        var result = Pretrainer.Run(Options(steps: 60), _folder.File("model"), TimeProvider.System, progress.Add, cancellationToken: TestContext.Current.CancellationToken);

        Assert.Equal(60, result.Steps);
        Assert.InRange(progress[0].Loss, 5.4, 5.9);
        Assert.True(progress[^1].Loss < 2.0, $"last loss {progress[^1].Loss}");
        Assert.True(result.HeldOutPerplexity < 12, $"perplexity {result.HeldOutPerplexity}");
    }

    [Fact]
    public void Run_Finished_LeavesAModelFolderAndNothingElse()
    {
        var result = Pretrainer.Run(Options(steps: 2), _folder.File("model"), TimeProvider.System, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(["config.json", "merges.txt", "model.safetensors", "tokenizer_config.json", "vocab.json"], Directory.EnumerateFileSystemEntries(result.Folder).Select(Path.GetFileName).Order());
        using var folder = ModelFolder.Open(result.Folder);
        Assert.Equal(16, folder.Config.MaximumPositions);
        Assert.Equal(Contracts.Safetensors.ElementType.Float16, folder.StoredType("h.0.attn.c_attn.weight"));
        Assert.Equal(result.Parameters, folder.TensorNames.Sum(name => folder.Shape(name).Aggregate(1L, (a, b) => a * b)));
        using var encoder = FrozenEncoder.Open(folder, 2);
    }

    [Fact]
    public void Run_CancelledAndStartedAgain_EndsWithTheSameBytes()
    {
        var straight = Pretrainer.Run(Options(steps: 9), _folder.File("straight"), TimeProvider.System, cancellationToken: TestContext.Current.CancellationToken);
        using var cancellation = new CancellationTokenSource();
        _ = Assert.Throws<OperationCanceledException>(() => Pretrainer.Run(
            Options(steps: 9), _folder.File("resumed"), TimeProvider.System, progress => CancelAt(progress, 4, cancellation), cancellationToken: cancellation.Token));
        var notices = new List<string>();
        var resumed = Pretrainer.Run(Options(steps: 9), _folder.File("resumed"), TimeProvider.System, notice: notices.Add, cancellationToken: TestContext.Current.CancellationToken);

        Assert.Contains("after step 4 of 9", Assert.Single(notices));
        Assert.Equal(File.ReadAllBytes(Weights(straight)), File.ReadAllBytes(Weights(resumed)));
    }

    [Fact]
    public void Run_Finished_LeavesNoTensorBehind()
    {
        _ = Pretrainer.Run(Options(steps: 1), _folder.File("a"), TimeProvider.System, cancellationToken: TestContext.Current.CancellationToken);
        var alive = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        _ = Pretrainer.Run(Options(steps: 4), _folder.File("b"), TimeProvider.System, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(alive, TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void Run_OtherSettingsInTheFolderOfAnUnfinishedRun_IsRefused()
    {
        using var cancellation = new CancellationTokenSource();
        _ = Assert.Throws<OperationCanceledException>(() => Pretrainer.Run(
            Options(steps: 9), _folder.File("model"), TimeProvider.System, progress => CancelAt(progress, 1, cancellation), cancellationToken: cancellation.Token));
        _ = Assert.Throws<CheckpointException>(() => Pretrainer.Run(
            Options(steps: 9) with { LearningRate = 0.1 }, _folder.File("model"), TimeProvider.System, cancellationToken: TestContext.Current.CancellationToken));
    }

    [Fact]
    public void Run_MicroBatches_GiveNearlyTheSameLoss()
    {
        var (whole, split) = (new List<PretrainProgress>(), new List<PretrainProgress>());
        _ = Pretrainer.Run(Options(steps: 3), _folder.File("a"), TimeProvider.System, whole.Add, cancellationToken: TestContext.Current.CancellationToken);
        _ = Pretrainer.Run(Options(steps: 3) with { MicroBatch = 3 }, _folder.File("b"), TimeProvider.System, split.Add, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(whole[^1].Loss, split[^1].Loss, 1e-4);
        Assert.Equal(whole[0].GradientNorm, split[0].GradientNorm, 1e-4);
    }

    [Fact]
    public void Run_TimeBudget_EndsTheScheduleWithIt()
    {
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        var progress = new List<PretrainProgress>();
        var result = Pretrainer.Run(
            Options(steps: 1000) with { TimeBudget = TimeSpan.FromSeconds(20), WarmupRatio = 0.1 }, _folder.File("model"), time,
            step =>
            {
                progress.Add(step);
                time.Advance(TimeSpan.FromSeconds(1));
            },
            cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(20, result.Steps);
        Assert.True(progress[^1].LearningRate < 0.1 * progress.Max(step => step.LearningRate));
    }

    [Fact]
    public void Run_BadOptions_ListsAllFaults()
    {
        var exception = Assert.Throws<PretrainException>(() => Pretrainer.Run(
            Options(steps: 1) with { Layers = 0, Width = 31, LearningRate = -1 }, _folder.File("model"), TimeProvider.System, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains("layers", exception.Message);
        Assert.Contains("width", exception.Message);
        Assert.Contains("learning rate", exception.Message);
        Assert.False(Directory.Exists(_folder.File("model")));
    }

    private static void CancelAt(PretrainProgress progress, int step, CancellationTokenSource cancellation)
    {
        if (progress.Step == step)
        {
            cancellation.Cancel();
        }
    }

    private static string Weights(PretrainResult result) => Path.Combine(result.Folder, "model.safetensors");

    private PretrainOptions Options(int steps)
    {
        var tokenizer = _folder.File("tokenizer");
        var text = _folder.File("text.txt");
        if (!Directory.Exists(tokenizer))
        {
            var lines = Enumerable.Range(0, 400).Select(i => $"the {(i % 2 == 0 ? "cat" : "dog")} sat on the {(i % 3 == 0 ? "mat" : "log")} and saw {i % 7} birds").ToArray();
            File.WriteAllLines(text, lines);
            var trainer = new BytePairTrainer();
            trainer.Add(lines);
            _ = Directory.CreateDirectory(tokenizer);
            trainer.Train(270).Write(tokenizer);
        }

        return new PretrainOptions
        {
            Inputs = [new CorpusInput(text, 1, CorpusForm.Lines)],
            TokenizerFolder = tokenizer,
            TokenBudget = steps * 8 * 16,
            Layers = 2,
            Width = 32,
            Heads = 2,
            SequenceLength = 16,
            BatchSize = 8,
            LearningRate = 0.01,
            HeldOutShare = 0.05,
            CheckpointEverySteps = 3,
        };
    }
}
