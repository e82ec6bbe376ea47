using System.Security.Cryptography;
using System.Text.Json;
using SplitFrozen.Models;
using SplitFrozen.Tokenizers;
using SplitFrozen.Training.Checkpoints;
using SplitFrozen.Training.Export;
using SplitFrozen.Training.Optimization;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Pretraining;

/// <summary>
/// Trains all weights of a small GPT-2 from scratch to predict the next token. Interrupted and started again with the same
/// options and output folder it goes on from its last checkpoint and ends with the same bytes (unless a time budget binds).
/// Runs on the calling thread, which should be a compute thread.
/// </summary>
public sealed class Pretrainer : IDisposable
{
    private const string WorkFolder = "pretraining";
    private const int HashedTokens = 16;
    private const double ExtraTokens = 1.02;
    private readonly PretrainOptions _options;
    private readonly string _output;
    private readonly TransformerConfig _config;
    private readonly ModelFolder _initial;
    private readonly UpperModel _model;
    private readonly AdamW _optimizer;
    private readonly WindowSampler _sampler;
    private readonly LearningRateSchedule _schedule;
    private readonly CheckpointFolder _checkpoints;
    private readonly HeldOutText _heldOut;
    private readonly WeightGradients _deferred = new();
    private readonly string _hash;

    private Pretrainer(PretrainOptions options, string output, CancellationToken cancellationToken)
    {
        (_options, _output) = (options, output);
        var tokenizer = Tokenizers.TokenizerFolder.Open(options.TokenizerFolder);
        var corpora = Load(options, tokenizer, cancellationToken);
        _config = options.ModelConfig(tokenizer.VocabularySize, tokenizer.EndOfTextId!.Value);
        var initial = Path.Combine(output, WorkFolder, "initial");
        ModelInitialization.Write(initial, _config, options.Seed);
        _initial = ModelFolder.Open(initial);
        _model = UpperModel.Open(_initial, new UpperModelOptions
        {
            LowestCut = 0,
            Boundary = 0,
            Head = HeadKind.LanguageModel,
            TrainAllWeights = true,
        });
        _optimizer = AdamW.Over(
            _model.FlatValues,
            _model.FlatGradients,
            _model.Parameters,
            new AdamWOptions { Beta1 = options.Beta1, Beta2 = options.Beta2, WeightDecay = options.WeightDecay, DecayMatricesOnly = true });
        _sampler = new WindowSampler([.. corpora.Select((corpus, i) => (corpus.Training, options.Inputs[i].Weight))], options.SequenceLength, options.Seed);
        _schedule = LearningRateSchedule.Create("cosine", options.LearningRate, options.WarmupRatio, options.TotalSteps);
        _checkpoints = new CheckpointFolder(Path.Combine(output, WorkFolder));
        _heldOut = new HeldOutText(corpora.Select(corpus => corpus.HeldOut), options.SequenceLength);
        _hash = Hash(options, corpora);
    }

    /// <summary>Trains to the end of the budget and writes the model folder.</summary>
    /// <param name="options">What to train.</param>
    /// <param name="outputFolder">Where the model goes; holds a folder <c>pretraining</c> with checkpoints until the end.</param>
    /// <param name="timeProvider">Measures speed and the time budget.</param>
    /// <param name="progress">Told after every step, on the calling thread.</param>
    /// <param name="notice">Told about damaged checkpoints and about resuming.</param>
    /// <param name="cancellationToken">Writes a checkpoint and ends; the same call later goes on.</param>
    /// <exception cref="PretrainException">The options or the amount of text do not allow it, or the loss is no longer finite.</exception>
    /// <exception cref="CorpusException">A text file cannot be used.</exception>
    /// <exception cref="TokenizerFormatException">The tokenizer cannot be used.</exception>
    /// <exception cref="CheckpointException">The output folder holds the checkpoint of another run, or cannot be written.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled, and a checkpoint was written.</exception>
    public static PretrainResult Run(
        PretrainOptions options, string outputFolder, TimeProvider timeProvider,
        Action<PretrainProgress>? progress = null, Action<string>? notice = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(timeProvider);
        if (options.Faults() is { Count: > 0 } faults)
        {
            throw new PretrainException(string.Join(Environment.NewLine, faults));
        }

        using var pretrainer = new Pretrainer(options, outputFolder, cancellationToken);
        return pretrainer.Train(timeProvider, progress, notice, cancellationToken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _deferred.Dispose();
        _optimizer.Dispose();
        _model.Dispose();
        _initial.Dispose();
    }

    private static TokenCorpus[] Load(PretrainOptions options, ITextTokenizer tokenizer, CancellationToken cancellationToken)
    {
        var totalWeight = options.Inputs.Sum(input => input.Weight);
        var corpora = new TokenCorpus[options.Inputs.Count];
        for (var i = 0; i < corpora.Length; i++)
        {
            var input = options.Inputs[i];
            var share = input.Weight / totalWeight;
            var wanted = (long)(options.TokenBudget * share * ExtraTokens) + (4 * options.SequenceLength);
            var budget = new CorpusBudget(options.Seed, wanted, options.HeldOutTokens / corpora.Length, options.HeldOutShare);
            corpora[i] = TokenCorpus.Load(input, i, tokenizer, budget, cancellationToken);
            if (!WindowSampler.IsLongEnough(corpora[i].Training, options.SequenceLength))
            {
                throw new CorpusException(input.Path, $"has only {corpora[i].Training.Length} tokens to train on; at least {(2 * options.SequenceLength) + 1} are needed.");
            }
        }

        return corpora;
    }

    private static string Hash(PretrainOptions options, TokenCorpus[] corpora)
    {
        var text = JsonSerializer.Serialize(new
        {
            options.Layers,
            options.Width,
            options.Heads,
            options.SequenceLength,
            options.BatchSize,
            options.MicroBatch,
            options.LearningRate,
            options.WarmupRatio,
            options.WeightDecay,
            options.Beta1,
            options.Beta2,
            options.MaxGradientNorm,
            options.TokenBudget,
            options.Seed,
            Inputs = options.Inputs.Select((input, i) => new { input.Weight, corpora[i].Training.Length, First = corpora[i].Training[..Math.Min(HashedTokens, corpora[i].Training.Length)] }),
        });
        return Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(text)));
    }

    private PretrainResult Train(TimeProvider time, Action<PretrainProgress>? progress, Action<string>? notice, CancellationToken cancellationToken)
    {
        var start = _checkpoints.ReadLatest(_optimizer, _hash, notice);
        var step = (int)(start?.Step ?? 0);
        var clock = new PretrainClock(time, _options, TimeSpan.TryParse(start?.Notes, out var before) ? before : TimeSpan.Zero);
        if (start is not null)
        {
            _sampler.Skip((long)step * _options.BatchSize);
            notice?.Invoke($"Going on after step {step} of {_options.TotalSteps}.");
        }

        double? perplexity = null;
        while (step < _options.TotalSteps && !clock.IsUp)
        {
            if (cancellationToken.IsCancellationRequested)
            {
                Save(step, clock);
                cancellationToken.ThrowIfCancellationRequested();
            }

            var learningRate = _schedule.At(clock.SchedulePosition(step));
            var (loss, norm) = Step(step, learningRate);
            step++;
            clock.StepDone();
            var last = step == _options.TotalSteps || clock.IsUp;
            perplexity = last || step % _options.EvaluateEverySteps == 0 ? clock.Exclude(() => _heldOut.Perplexity(_model)) : null;
            progress?.Invoke(new PretrainProgress(
                step, _options.TotalSteps, step * _options.TokensPerStep, loss, learningRate, norm, clock.TokensPerSecond, clock.Remaining(step), perplexity));
            if (!last && step % _options.CheckpointEverySteps == 0)
            {
                Save(step, clock);
            }
        }

        return Finish(step, perplexity ?? _heldOut.Perplexity(_model));
    }

    private (double Loss, double GradientNorm) Step(int step, double learningRate)
    {
        var length = _options.SequenceLength;
        var micro = _options.MicroBatch == 0 ? _options.BatchSize : Math.Min(_options.MicroBatch, _options.BatchSize);
        var loss = 0.0;
        for (var done = 0; done < _options.BatchSize; done += micro)
        {
            var windows = Math.Min(micro, _options.BatchSize - done);
            var (tokens, targets) = (new int[windows * length], new int[windows * length]);
            for (var i = 0; i < windows; i++)
            {
                _sampler.Next(tokens.AsSpan(i * length, length), targets.AsSpan(i * length, length));
            }

            using var layout = new SequenceLayout([.. Enumerable.Repeat(length, windows)]);
            using var pass = _model.ForwardTokens(tokens, layout, targets, training: true);
            var share = (double)windows / _options.BatchSize;
            pass.BackwardInput(share, _deferred);
            _deferred.Run();
            loss += pass.Loss * share;
        }

        var norm = _optimizer.ClipGradients(_options.MaxGradientNorm);
        if (!double.IsFinite(loss) || !double.IsFinite(norm))
        {
            throw new PretrainException($"The loss or its gradient is not finite at step {step + 1}; use a lower learning rate than {_options.LearningRate}.");
        }

        _optimizer.Step(learningRate);
        _model.ClearGradients();
        return (loss, norm);
    }

    private void Save(int step, PretrainClock clock) => _checkpoints.Write(
        new TrainingPosition { Step = step, NextSequence = step, SpecificationHash = _hash, Notes = clock.Elapsed.ToString("c") }, _optimizer);

    private PretrainResult Finish(int steps, double? perplexity)
    {
        ModelFolderWriter.CopyTokenizer(_options.TokenizerFolder, _output);
        ModelFolderWriter.WriteWeights(
            _output,
            _model.Parameters.Select(parameter => (
                ModelInitialization.InFile(_config.Family, parameter.Name), parameter.Value.shape, (Func<Tensor>)(() => parameter.Value.alias()))),
            _options.StoreType);
        _config.Write(_output);
        Directory.Delete(Path.Combine(_output, WorkFolder), recursive: true);
        return new PretrainResult(_output, steps, steps * _options.TokensPerStep, _optimizer.Elements, perplexity);
    }
}
