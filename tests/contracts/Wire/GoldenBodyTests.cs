using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Tests.Wire;

/// <summary>Bodies of format version 1 as files: a change of their bytes is a change of the format, and needs a new version.</summary>
public sealed class GoldenBodyTests
{
    [Theory]
    [InlineData(WireType.Float32)]
    [InlineData(WireType.Float16)]
    [InlineData(WireType.BFloat16)]
    [InlineData(WireType.Int8)]
    public void Encode_SmallBatch_GivesTheStoredBytes(WireType type)
    {
        var stored = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Wire", "Golden", $"{type.Name()}.safetensors"));
        var batch = Batches.Small(type, labelsPerToken: type != WireType.Float32);

        Assert.Equal(stored, ActivationBatchCodec.Encode(batch));
        Assert.True(ActivationBatchCodec.TryDecode(stored, new WireLimits(), out var decoded, out var reason), reason);
        Batches.AssertSame(batch, decoded);
    }
}
