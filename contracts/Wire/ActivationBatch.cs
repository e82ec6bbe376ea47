namespace SplitFrozen.Contracts.Wire;

/// <summary>
/// Hidden states of some samples at one cut, with labels, packed without padding. The message body is one safetensors
/// file (see <c>docs/wire-format.md</c>); this is its decoded form. The byte memories are views of the body: no copy.
/// </summary>
public sealed record ActivationBatch
{
    /// <summary>The run that asked for the samples; empty in a cache entry, which belongs to no run.</summary>
    public required string RunId { get; init; }

    /// <summary>The client that holds the samples; empty in a cache entry.</summary>
    public required string ClientId { get; init; }

    /// <summary>Fingerprint of the model that produced the hidden states, lower-case hex.</summary>
    public required string ModelFingerprint { get; init; }

    /// <summary>Number of blocks already applied, the device's cut <c>c_d</c>.</summary>
    public required int Cut { get; init; }

    /// <summary>Hidden width <c>H</c>.</summary>
    public required int Width { get; init; }

    /// <summary>Element type of <see cref="HiddenStates"/>.</summary>
    public required WireType WireType { get; init; }

    /// <summary>Tokens per sample, <c>[B]</c>, each at least 1; they add up to ΣT.</summary>
    public required int[] Lengths { get; init; }

    /// <summary>The samples, <c>[B]</c>, without repeats.</summary>
    public required SampleId[] SampleIds { get; init; }

    /// <summary>
    /// Labels: <c>[B]</c> class indices for classification, or <c>[ΣT]</c> target token ids for language modelling, where
    /// entry t is the token that should follow position t and -100 marks a position that does not count.
    /// </summary>
    public required int[] Labels { get; init; }

    /// <summary>True when <see cref="Labels"/> has one entry per token instead of one per sample.</summary>
    public required bool LabelsPerToken { get; init; }

    /// <summary>Hidden states <c>[ΣT, H]</c>, row-major, little-endian, in <see cref="WireType"/>.</summary>
    public required ReadOnlyMemory<byte> HiddenStates { get; init; }

    /// <summary>One float32 per token, <c>[ΣT]</c>, for <see cref="WireType.Int8"/>; empty otherwise.</summary>
    public ReadOnlyMemory<byte> Scales { get; init; }

    /// <summary>ΣT, the number of tokens of all samples.</summary>
    public int Tokens => Lengths.Sum();
}
