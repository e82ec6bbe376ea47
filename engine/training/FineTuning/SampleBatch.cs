using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using static TorchSharp.torch;

namespace SplitFrozen.Training.FineTuning;

/// <summary>Samples with hidden states of their own, freed together.</summary>
/// <param name="samples">The samples; their hidden states are taken over.</param>
public sealed class SampleBatch(IReadOnlyList<TrainingSample> samples) : IDisposable
{
    /// <summary>The samples; their hidden states live as long as the batch.</summary>
    public IReadOnlyList<TrainingSample> Samples { get; } = samples;

    /// <summary>
    /// Computes samples with a frozen encoder and rounds them as the wire does, so that training on them is training on what a
    /// device would have sent.
    /// </summary>
    /// <param name="encoder">Embeddings and frozen blocks; all of its blocks run.</param>
    /// <param name="samples">At least one.</param>
    /// <param name="wireType">How the hidden states would travel; f32 changes nothing.</param>
    public static SampleBatch Encode(FrozenEncoder encoder, IReadOnlyList<EncodedSample> samples, WireType wireType)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(samples);
        using var noGradient = no_grad();
        using var layout = new SequenceLayout([.. samples.Select(sample => sample.Tokens.Length)]);
        using var computed = encoder.Encode([.. samples.SelectMany(sample => sample.Tokens)], layout);
        if (wireType == WireType.Float32)
        {
            return Split(computed, encoder.Cut, samples);
        }

        var (states, scales) = HiddenStateCodec.Encode(computed, wireType);
        using var received = HiddenStateCodec.Decode(states, scales, layout.Tokens, encoder.Width, wireType);
        return Split(received, encoder.Cut, samples);
    }

    /// <summary>Gives each sample its rows.</summary>
    /// <param name="hidden">Hidden states <c>[ΣT, H]</c> of the samples, one after another; stays the caller's.</param>
    /// <param name="cut">Depth of the hidden states.</param>
    /// <param name="samples">The samples in the order of the rows.</param>
    public static SampleBatch Split(Tensor hidden, int cut, IReadOnlyList<EncodedSample> samples)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        ArgumentNullException.ThrowIfNull(samples);
        using var scope = NewDisposeScope();
        var split = new TrainingSample[samples.Count];
        var row = 0L;
        for (var i = 0; i < split.Length; i++)
        {
            var length = samples[i].Tokens.Length;
            split[i] = new TrainingSample(samples[i].Id, cut, hidden.narrow(0, row, length).DetachFromDisposeScope(), samples[i].Labels);
            row += length;
        }

        return new SampleBatch(split);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var sample in Samples)
        {
            sample.Hidden.Dispose();
        }
    }
}
