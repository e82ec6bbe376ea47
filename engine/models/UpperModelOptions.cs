using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>What the model's last layer predicts.</summary>
public enum HeadKind
{
    /// <summary>One class per sequence, from its last token, as GPT2ForSequenceClassification does; the head trains.</summary>
    Classification,

    /// <summary>The next token at every position; the head is the model's own.</summary>
    LanguageModel,
}

/// <summary>How the server's part of a model is cut, headed and trained.</summary>
public sealed record UpperModelOptions
{
    /// <summary>First block held, 0 to <see cref="Boundary"/>: the lowest cut of any device.</summary>
    public required int LowestCut { get; init; }

    /// <summary>First block that trains, F, up to L (then only a classification head trains).</summary>
    public required int Boundary { get; init; }

    /// <summary>
    /// End of the trained blocks, above <see cref="Boundary"/>; null for L. Below L the model is a stage of a pipeline: it has neither final norm nor
    /// head, and a pass through it ends in hidden states.
    /// </summary>
    public int? End { get; init; }

    /// <summary>What is predicted.</summary>
    public required HeadKind Head { get; init; }

    /// <summary>Number of classes, at least 2 for classification; otherwise unused.</summary>
    public int Classes { get; init; }

    /// <summary>The adapters of the blocks <c>[F, L)</c>; null for none.</summary>
    public LoraConfig? Lora { get; init; }

    /// <summary>Seed of the initial values of adapters and head.</summary>
    public ulong Seed { get; init; }

    /// <summary>
    /// Pretraining: every weight trains, embeddings included. Needs a language-model head, a boundary of 0 and no adapters.
    /// </summary>
    public bool TrainAllWeights { get; init; }

    /// <summary>
    /// Whether a backward pass also gives the gradient of the hidden states at F, <see cref="ForwardPass.HiddenGradient"/>, for a
    /// lower part that trains elsewhere.
    /// </summary>
    public bool GradientAtBoundary { get; init; }

    /// <summary>Type of weights, gradients and results: Float32, or Float64 to check numbers.</summary>
    public ScalarType Compute { get; init; } = ScalarType.Float32;

    /// <summary>Checks the options against a model.</summary>
    /// <exception cref="ArgumentException">An option is impossible; the message names it.</exception>
    internal void Validate(TransformerConfig config)
    {
        Require(LowestCut >= 0 && LowestCut <= Boundary, nameof(LowestCut), $"{LowestCut} must lie in 0..Boundary = {Boundary}");
        Require(Boundary <= config.Layers, nameof(Boundary), $"{Boundary} is beyond the model's {config.Layers} blocks");
        Require(End is null || (End > Boundary && End <= config.Layers), nameof(End), $"{End} must lie in {Boundary + 1}..{config.Layers}");
        Require(End is null || End == config.Layers || Lora is not null, nameof(Lora), "must be given for a stage that ends below the head: nothing else trains there");
        Require(Head != HeadKind.Classification || Classes >= 2, nameof(Classes), $"{Classes} must be at least 2");
        Require(Compute is ScalarType.Float32 or ScalarType.Float64, nameof(Compute), $"{Compute} must be Float32 or Float64");
        Require(
            !TrainAllWeights || (Head == HeadKind.LanguageModel && Boundary == 0 && Lora is null && End is null),
            nameof(TrainAllWeights), "needs a language-model head, a boundary of 0, all blocks and no adapters");
        if (Lora is not null)
        {
            ValidateLora(Lora, config.Family);
        }
    }

    internal static void ValidateLora(LoraConfig lora, ModelFamily family)
    {
        Require(lora.Rank >= 1, "Lora.Rank", $"{lora.Rank} must be at least 1");
        Require(double.IsFinite(lora.Alpha), "Lora.Alpha", $"{lora.Alpha} must be a finite number");
        Require(lora.Dropout is >= 0 and < 1, "Lora.Dropout", $"{lora.Dropout} must lie in [0, 1)");
        Require(lora.Targets.Count > 0, "Lora.Targets", "must name at least one linear layer");
        string[] layers = family == ModelFamily.Gpt2
            ? ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]
            : ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"];
        foreach (var target in lora.Targets)
        {
            Require(
                Array.Exists(layers, layer => LoraConfig.IsTarget(layer, target)), "Lora.Targets",
                $"\"{target}\" names no linear layer of a {family} block; there are {string.Join(", ", layers)}");
        }
    }

    private static void Require(bool holds, string option, string fault)
    {
        if (!holds)
        {
            throw new ArgumentException($"{option}: {fault}.", option);
        }
    }
}
