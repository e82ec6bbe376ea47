using SplitFrozen.Models;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Pretraining;

/// <summary>
/// What to pretrain, on what and for how long. The defaults make a GPT-2 of 6 blocks of width 256, about 5.8 million parameters
/// with a vocabulary of 4,096, which fits into 12 MB as f16.
/// </summary>
public sealed record PretrainOptions
{
    /// <summary>The text, at least one file.</summary>
    public required IReadOnlyList<CorpusInput> Inputs { get; init; }

    /// <summary>Folder with <c>vocab.json</c> and <c>merges.txt</c>; they are copied beside the weights.</summary>
    public required string TokenizerFolder { get; init; }

    /// <summary>Training tokens to use; the learning-rate schedule ends with them. The result depends on nothing but options and text.</summary>
    public required long TokenBudget { get; init; }

    /// <summary>
    /// Longest training time, or null. When it binds, the schedule follows the time, and the result depends on the machine's speed.
    /// </summary>
    public TimeSpan? TimeBudget { get; init; }

    /// <summary>Seed of initial weights and of the order of the text.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Transformer blocks.</summary>
    public int Layers { get; init; } = 6;

    /// <summary>Width of the hidden states; a multiple of <see cref="Heads"/>.</summary>
    public int Width { get; init; } = 256;

    /// <summary>Attention heads.</summary>
    public int Heads { get; init; } = 4;

    /// <summary>Tokens per window, and the positions that the model has: later ones would never be trained.</summary>
    public int SequenceLength { get; init; } = 128;

    /// <summary>Windows per optimiser step.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>Windows per forward and backward; gradients of a step are accumulated. 0 means the batch size.</summary>
    public int MicroBatch { get; init; }

    /// <summary>Peak learning rate; cosine decay to zero.</summary>
    public double LearningRate { get; init; } = 1.5e-3;

    /// <summary>Share of the steps that warm up, in [0, 1).</summary>
    public double WarmupRatio { get; init; } = 0.03;

    /// <summary>AdamW's decoupled weight decay, on matrices only.</summary>
    public double WeightDecay { get; init; } = 0.1;

    /// <summary>AdamW's first-moment decay.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>AdamW's second-moment decay.</summary>
    public double Beta2 { get; init; } = 0.95;

    /// <summary>Gradients are scaled down to this norm; 0 turns clipping off.</summary>
    public double MaxGradientNorm { get; init; } = 1.0;

    /// <summary>Share of every input's documents that is held out, in [0, 1).</summary>
    public double HeldOutShare { get; init; } = 0.005;

    /// <summary>Most tokens, over all inputs, on which perplexity is measured.</summary>
    public long HeldOutTokens { get; init; } = 32_768;

    /// <summary>Perplexity is measured every n steps, and at the end.</summary>
    public int EvaluateEverySteps { get; init; } = 250;

    /// <summary>A checkpoint every n steps, and when cancelled.</summary>
    public int CheckpointEverySteps { get; init; } = 250;

    /// <summary>Type of the saved weights: Float16, BFloat16 or Float32.</summary>
    public ScalarType StoreType { get; init; } = ScalarType.Float16;

    /// <summary>Optimiser steps that use up the token budget.</summary>
    public int TotalSteps => checked((int)Math.Max(1, (TokenBudget + TokensPerStep - 1) / TokensPerStep));

    /// <summary>Tokens of one optimiser step.</summary>
    public long TokensPerStep => (long)BatchSize * SequenceLength;

    /// <summary>Lists everything that is wrong with the options; empty when they can be used.</summary>
    public IReadOnlyList<string> Faults()
    {
        var faults = new List<string>();
        Check(Inputs.Count > 0, "inputs: name at least one text file.");
        Check(Inputs.All(input => double.IsFinite(input.Weight) && input.Weight > 0), "inputs: every weight must be greater than 0.");
        Check(TokenBudget > 0, "tokens: must be greater than 0.");
        Check(TimeBudget is null || TimeBudget > TimeSpan.Zero, "time: must be greater than 0.");
        Check(Layers > 0, "layers: must be at least 1.");
        Check(Heads > 0 && Width > 0 && Width % Math.Max(1, Heads) == 0, $"width: {Width} must be a positive multiple of the {Heads} heads.");
        Check(SequenceLength > 1, "sequence length: must be at least 2.");
        Check(BatchSize > 0 && MicroBatch >= 0, "batch size: must be at least 1, and the micro-batch not negative.");
        Check(LearningRate > 0 && double.IsFinite(LearningRate), "learning rate: must be greater than 0.");
        Check(WarmupRatio is >= 0 and < 1, "warm-up: must be in [0, 1).");
        Check(WeightDecay >= 0 && MaxGradientNorm >= 0, "weight decay and gradient norm: must not be negative.");
        Check(Beta1 is >= 0 and < 1 && Beta2 is >= 0 and < 1, "betas: must be in [0, 1).");
        Check(HeldOutShare is >= 0 and < 1, "held-out share: must be in [0, 1).");
        Check(EvaluateEverySteps > 0 && CheckpointEverySteps > 0, "evaluation and checkpoint intervals: must be at least 1.");
        Check(StoreType is ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float32, "stored type: must be f16, bf16 or f32.");
        return faults;

        void Check(bool holds, string fault)
        {
            if (!holds)
            {
                faults.Add(fault);
            }
        }
    }

    /// <summary>Sizes of the model, for a vocabulary.</summary>
    internal TransformerConfig ModelConfig(int vocabularySize, int endOfText) => new()
    {
        Family = ModelFamily.Gpt2,
        Layers = Layers,
        Width = Width,
        Heads = Heads,
        KeyValueHeads = Heads,
        HeadWidth = Width / Heads,
        InnerWidth = 4 * Width,
        VocabularySize = vocabularySize,
        MaximumPositions = SequenceLength,
        NormEpsilon = 1e-5,
        TieWordEmbeddings = true,
        EndOfTextId = endOfText,
        BeginOfTextId = endOfText,
    };
}

/// <summary>How far pretraining is, told after every step.</summary>
/// <param name="Step">Steps taken.</param>
/// <param name="TotalSteps">Steps of the token budget.</param>
/// <param name="Tokens">Training tokens used.</param>
/// <param name="Loss">Mean cross-entropy of the step, in nats per token.</param>
/// <param name="LearningRate">Learning rate of the step.</param>
/// <param name="GradientNorm">Norm of the gradients before clipping.</param>
/// <param name="TokensPerSecond">Training speed since this process began to train, evaluation left out.</param>
/// <param name="Remaining">Estimated time to the end.</param>
/// <param name="HeldOutPerplexity">Perplexity on the held-out text, where it was measured after this step.</param>
public sealed record PretrainProgress(
    int Step, int TotalSteps, long Tokens, double Loss, double LearningRate, double GradientNorm, double TokensPerSecond, TimeSpan Remaining, double? HeldOutPerplexity);

/// <summary>A finished pretraining.</summary>
/// <param name="Folder">The model, in Hugging Face layout.</param>
/// <param name="Steps">Steps taken.</param>
/// <param name="Tokens">Training tokens used.</param>
/// <param name="Parameters">Number of weights.</param>
/// <param name="HeldOutPerplexity">Final perplexity on the held-out text; null where none was held out.</param>
public sealed record PretrainResult(string Folder, int Steps, long Tokens, long Parameters, double? HeldOutPerplexity);
