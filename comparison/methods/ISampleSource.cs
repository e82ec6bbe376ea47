using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Comparison.Methods;

/// <summary>Where the hidden states of samples come from.</summary>
internal interface ISampleSource
{
    /// <summary>The samples in the order of their ids. The caller disposes the batch.</summary>
    SampleBatch Read(IReadOnlyList<SampleId> ids);
}

/// <summary>Computes the hidden states of samples at each reading, from the data of one machine.</summary>
/// <param name="data">All samples.</param>
/// <param name="encoder">Embeddings and frozen blocks.</param>
/// <param name="roundedTo">What the hidden states are rounded to; f32 leaves them.</param>
internal sealed class ComputedSamples(LoadedTask data, FrozenEncoder encoder, WireType roundedTo) : ISampleSource
{
    public SampleBatch Read(IReadOnlyList<SampleId> ids) => SampleBatch.Encode(encoder, [.. ids.Select(id => data[id])], roundedTo);
}
