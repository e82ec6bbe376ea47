using System.IO.Hashing;
using System.Runtime.InteropServices;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Tasks;

/// <summary>One sample as token ids and labels.</summary>
/// <param name="Id">Its split and its index in <see cref="LoadedTask.Train"/> or <see cref="LoadedTask.Evaluation"/>.</param>
/// <param name="Tokens">Token ids, <c>[T]</c>, at least one.</param>
/// <param name="Labels">
/// Classification: one entry, the class. Language modelling: <c>[T]</c>, the id that should follow each position, or
/// <see cref="Ignored"/> where none is counted.
/// </param>
/// <param name="LabelsPerToken">True for language modelling.</param>
/// <param name="Class">The class index; 0 for language modelling.</param>
public sealed record EncodedSample(SampleId Id, int[] Tokens, int[] Labels, bool LabelsPerToken, int Class)
{
    /// <summary>The label of a position that no loss counts.</summary>
    public const int Ignored = -100;

    /// <summary>
    /// XXH128 over, as little-endian int32: <see cref="LabelsPerToken"/> (0 or 1), T, the tokens, the number of labels, the
    /// labels. The id is not part of it, so equal contents share one cached activation. Computed on every call.
    /// </summary>
    public ContentDigest Digest
    {
        get
        {
            var hash = new XxHash128();
            hash.Append(MemoryMarshal.AsBytes<int>([LabelsPerToken ? 1 : 0, Tokens.Length]));
            hash.Append(MemoryMarshal.AsBytes<int>(Tokens));
            hash.Append(MemoryMarshal.AsBytes<int>([Labels.Length]));
            hash.Append(MemoryMarshal.AsBytes<int>(Labels));
            return new ContentDigest(hash.GetCurrentHashAsUInt128());
        }
    }
}
