using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Contracts.Cuts;

/// <summary>
/// What a cut costs a device that runs the embeddings and c frozen blocks: memory <c>embeddings + c · block</c>, and for a token
/// <c>max(c · block work / rate, bytes / uplink)</c> seconds, as computing and sending overlap.
/// </summary>
/// <param name="EmbeddingBytes">Weight bytes of the embeddings as a device holds them.</param>
/// <param name="BlockBytes">Weight bytes of one block.</param>
/// <param name="BlockGigaflopsPerToken">Forward work of one block for one token, in GFLOP.</param>
/// <param name="BytesPerToken">What a token's hidden states take on the wire.</param>
public readonly record struct CutCost(long EmbeddingBytes, long BlockBytes, double BlockGigaflopsPerToken, long BytesPerToken)
{
    /// <summary>Weight bytes of a cut.</summary>
    public long MemoryBytes(int cut) => EmbeddingBytes + (cut * BlockBytes);

    /// <summary>The deepest cut up to the boundary whose weights fit in the memory; 0 where not even one block does.</summary>
    public int DeepestFitting(long memoryBytes, int boundary) =>
        BlockBytes <= 0 ? boundary : (int)Math.Clamp((memoryBytes - EmbeddingBytes) / BlockBytes, 0, boundary);

    /// <summary>Seconds of computing for a token.</summary>
    public double ComputeSecondsPerToken(DeviceProfile profile, int cut)
    {
        ArgumentNullException.ThrowIfNull(profile);
        return cut * BlockGigaflopsPerToken / profile.GigaflopsPerSecond;
    }

    /// <summary>Seconds of sending for a token; the same for every cut.</summary>
    public double SendSecondsPerToken(DeviceProfile profile)
    {
        ArgumentNullException.ThrowIfNull(profile);
        return BytesPerToken / profile.UplinkBytesPerSecond;
    }

    /// <summary>Seconds that a token takes on the device.</summary>
    public double SecondsPerToken(DeviceProfile profile, int cut) => Math.Max(ComputeSecondsPerToken(profile, cut), SendSecondsPerToken(profile));
}
