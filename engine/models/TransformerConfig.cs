namespace SplitFrozen.Models;

/// <summary>The two families of decoder-only transformers that the system knows.</summary>
public enum ModelFamily
{
    /// <summary>GPT-2: learned positions, LayerNorm, tanh-GELU, Conv1D weights kept as [in, out].</summary>
    Gpt2,

    /// <summary>Llama 2 and 3: rotary positions, RMSNorm, SwiGLU, grouped-query attention.</summary>
    Llama,
}

/// <summary>Rotary position embedding (Su et al., 2021), with the frequency scaling of Llama 3.1 if the model has it.</summary>
/// <param name="Theta">Base of the frequencies, for example 500000.</param>
/// <param name="Scaling">Llama 3's scaling, or null for none.</param>
public sealed record RopeConfig(double Theta, RopeScaling? Scaling);

/// <summary>
/// The <c>llama3</c> scaling of rotary frequencies: wavelengths above <c>OriginalPositions / LowFrequencyFactor</c> are
/// divided by <c>Factor</c>, those below <c>OriginalPositions / HighFrequencyFactor</c> stay, and those between are mixed.
/// </summary>
/// <param name="Factor">Division of the low frequencies, at least 1.</param>
/// <param name="LowFrequencyFactor">Bound of the long wavelengths.</param>
/// <param name="HighFrequencyFactor">Bound of the short wavelengths, above <paramref name="LowFrequencyFactor"/>.</param>
/// <param name="OriginalPositions">Context length before scaling.</param>
public sealed record RopeScaling(double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OriginalPositions);

/// <summary>Sizes and constants of a model, read from and written to a Hugging Face <c>config.json</c>.</summary>
public sealed record TransformerConfig
{
    /// <summary>Name of the file in a model folder.</summary>
    public const string FileName = "config.json";

    /// <summary>Architecture.</summary>
    public required ModelFamily Family { get; init; }

    /// <summary>Number of transformer blocks, L.</summary>
    public required int Layers { get; init; }

    /// <summary>Width of the hidden states, H.</summary>
    public required int Width { get; init; }

    /// <summary>Number of query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Number of key and value heads; divides <see cref="Heads"/>.</summary>
    public required int KeyValueHeads { get; init; }

    /// <summary>Width of one head.</summary>
    public required int HeadWidth { get; init; }

    /// <summary>Width inside the feed-forward part.</summary>
    public required int InnerWidth { get; init; }

    /// <summary>Number of token ids.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Longest sequence.</summary>
    public required int MaximumPositions { get; init; }

    /// <summary>Constant added to the variance in every norm.</summary>
    public required double NormEpsilon { get; init; }

    /// <summary>Whether the language-model head is the token embedding.</summary>
    public required bool TieWordEmbeddings { get; init; }

    /// <summary>Rotary positions; null for GPT-2.</summary>
    public RopeConfig? Rope { get; init; }

    /// <summary>Id of the token that ends a text, if the configuration names one (the first, if it names several).</summary>
    public int? EndOfTextId { get; init; }

    /// <summary>Id of the token that begins a text, if the configuration names one.</summary>
    public int? BeginOfTextId { get; init; }

    /// <summary>Reads <c>config.json</c> of a model folder.</summary>
    /// <exception cref="ModelFormatException">The file is missing, is no JSON, or a field is missing or impossible.</exception>
    public static TransformerConfig Read(string folder) => ConfigReader.Read(Path.Combine(folder, FileName));

    /// <summary>Writes <c>config.json</c> in the form that Hugging Face transformers reads; the folder must exist.</summary>
    public void Write(string folder) => ConfigWriter.Write(this, Path.Combine(folder, FileName));
}
