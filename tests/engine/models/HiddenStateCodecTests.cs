using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

public sealed class HiddenStateCodecTests
{
    public HiddenStateCodecTests() => LibtorchLoader.Load();

    [Theory]
    [InlineData(WireType.Float32, 0, 4)]
    [InlineData(WireType.Float16, 1.0 / 2048, 2)]
    [InlineData(WireType.BFloat16, 1.0 / 256, 2)]
    [InlineData(WireType.Int8, 0.51 / 127, 1)]
    public void HiddenStates_EncodedAndDecoded_StayWithinTheTypesError(WireType type, double bound, int bytes)
    {
        using var scope = NewDisposeScope();
        var hidden = randn(7, 48) * tensor(new[] { 0.001f, 1f, 1000f, 5f, 0.1f, 20f, 0f }).unsqueeze(1);

        var (states, scales) = HiddenStateCodec.Encode(hidden, type);
        var decoded = HiddenStateCodec.Decode(states, scales, 7, 48, type);

        Assert.Equal(7 * 48 * bytes, states.Length);
        Assert.Equal(type == WireType.Int8 ? 7 * 4 : 0, scales.Length);
        var rows = hidden.abs().amax([1L], keepdim: true);
        var error = ((decoded - hidden).abs() / (rows + 1e-30)).max().item<float>();
        Assert.True(error <= bound, $"{type}: {error}");
    }

    [Fact]
    public void Decode_WrongNumberOfBytes_Throws() =>
        Assert.Throws<ArgumentException>(() => HiddenStateCodec.Decode(new byte[10], [], 2, 3, WireType.Float16));
}
