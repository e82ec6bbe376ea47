using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Tests.Wire;

public sealed class FinitenessTests
{
    /// <summary>Every one of the 65536 patterns, against the framework's own half type.</summary>
    [Fact]
    public void Decode_EveryHalf_IsRefusedExactlyWhenNotFinite() =>
        CheckAll(WireType.Float16, bits => Half.IsFinite(BitConverter.UInt16BitsToHalf(bits)));

    /// <summary>A bfloat16 is the upper half of a float32.</summary>
    [Fact]
    public void Decode_EveryBFloat16_IsRefusedExactlyWhenNotFinite() =>
        CheckAll(WireType.BFloat16, bits => float.IsFinite(BitConverter.UInt32BitsToSingle((uint)bits << 16)));

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void Encode_OneBadFloatAnywhere_IsRefused(float bad)
    {
        for (var place = 0; place < 67; place++)
        {
            var numbers = Batches.Numbers(67, WireType.Float32, i => i == place ? bad : float.MaxValue);
            Assert.Throws<ArgumentException>(() => ActivationBatchCodec.Encode(Single(numbers, 67, WireType.Float32)));
        }

        ActivationBatchCodec.Encode(Single(Batches.Numbers(67, WireType.Float32, i => i % 2 == 0 ? float.MaxValue : -float.Epsilon), 67, WireType.Float32));
    }

    private static void CheckAll(WireType type, Func<ushort, bool> isFinite)
    {
        // 21 elements: some in a vector, some behind it.
        var bytes = new byte[42];
        for (var pattern = 0; pattern <= ushort.MaxValue; pattern++)
        {
            var place = pattern % 21;
            BitConverter.TryWriteBytes(bytes.AsSpan(2 * place), (ushort)pattern);
            var refused = Refused(bytes, type);
            bytes.AsSpan().Clear();
            Assert.True(refused != isFinite((ushort)pattern), $"{type} {pattern:x4} at {place}");
        }
    }

    private static bool Refused(byte[] bytes, WireType type)
    {
        try
        {
            ActivationBatchCodec.Encode(Single(bytes, 21, type));
            return false;
        }
        catch (ArgumentException)
        {
            return true;
        }
    }

    private static ActivationBatch Single(byte[] bytes, int width, WireType type) => Batches.Small(type) with
    {
        Lengths = [1], SampleIds = [new(1)], Labels = [0], Width = width, HiddenStates = bytes,
    };
}
