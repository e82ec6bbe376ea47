using System.Buffers.Binary;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Tests.Wire;

/// <summary>Builds activation batches for tests.</summary>
internal static class Batches
{
    public const string Fingerprint = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    /// <summary>A small batch of fixed content: 2 samples, 3 tokens, width 2.</summary>
    public static ActivationBatch Small(WireType type = WireType.Float32, bool labelsPerToken = false) => new()
    {
        RunId = "demo",
        ClientId = "client-3",
        ModelFingerprint = Fingerprint,
        Cut = 4,
        Width = 2,
        WireType = type,
        Lengths = [2, 1],
        SampleIds = [SampleId.Training(17), SampleId.Evaluation(5)],
        Labels = labelsPerToken ? [11, -100, 42] : [1, 0],
        LabelsPerToken = labelsPerToken,
        HiddenStates = Numbers(6, type, i => 0.5f * (i - 2)),
        Scales = type == WireType.Int8 ? Numbers(3, WireType.Float32, i => i / 8f) : default,
    };

    /// <summary>A batch of random shape and content.</summary>
    public static ActivationBatch Random(SeededRandom random)
    {
        var type = (WireType)random.NextInt32(4);
        var perToken = random.NextInt32(2) == 1;
        var lengths = Enumerable.Range(0, 1 + random.NextInt32(6)).Select(_ => 1 + random.NextInt32(9)).ToArray();
        var tokens = lengths.Sum();
        var width = 1 + random.NextInt32(20);
        var ids = Enumerable.Range(0, 50).ToArray();
        random.Shuffle<int>(ids);
        var anonymous = random.NextInt32(4) == 0;
        return new ActivationBatch
        {
            RunId = anonymous ? "" : $"run \"{random.NextInt32(100)}\" é 😀",
            ClientId = anonymous ? "" : $"client-{random.NextInt32(100)}",
            ModelFingerprint = Fingerprint[random.NextInt32(48)..],
            Cut = random.NextInt32(40),
            Width = width,
            WireType = type,
            Lengths = lengths,
            SampleIds = [.. ids.Take(lengths.Length).Select(row => row % 2 == 0 ? SampleId.Training(row) : SampleId.Evaluation(row))],
            Labels = [.. Enumerable.Range(0, perToken ? tokens : lengths.Length).Select(_ => perToken && random.NextInt32(3) == 0 ? -100 : random.NextInt32(50_000))],
            LabelsPerToken = perToken,
            HiddenStates = Numbers(tokens * width, type, _ => (float)random.NextGaussian() * 10),
            Scales = type == WireType.Int8 ? Numbers(tokens, WireType.Float32, _ => (float)random.NextDouble()) : default,
        };
    }

    public static byte[] Numbers(int count, WireType type, Func<int, float> value)
    {
        var bytes = new byte[count * (type switch { WireType.Float32 => 4, WireType.Int8 => 1, _ => 2 })];
        for (var i = 0; i < count; i++)
        {
            switch (type)
            {
                case WireType.Float32:
                    BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(4 * i), value(i));
                    break;
                case WireType.Float16:
                    BinaryPrimitives.WriteHalfLittleEndian(bytes.AsSpan(2 * i), (Half)value(i));
                    break;
                case WireType.BFloat16:
                    BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2 * i), (ushort)(BitConverter.SingleToUInt32Bits(value(i)) >> 16));
                    break;
                default:
                    bytes[i] = unchecked((byte)(sbyte)Math.Clamp(value(i), -127, 127));
                    break;
            }
        }

        return bytes;
    }

    public static void AssertSame(ActivationBatch expected, ActivationBatch actual)
    {
        Assert.Equal(
            (expected.RunId, expected.ClientId, expected.ModelFingerprint, expected.Cut, expected.Width, expected.WireType, expected.LabelsPerToken),
            (actual.RunId, actual.ClientId, actual.ModelFingerprint, actual.Cut, actual.Width, actual.WireType, actual.LabelsPerToken));
        Assert.Equal(expected.Lengths, actual.Lengths);
        Assert.Equal(expected.SampleIds, actual.SampleIds);
        Assert.Equal(expected.Labels, actual.Labels);
        Assert.Equal(expected.HiddenStates.ToArray(), actual.HiddenStates.ToArray());
        Assert.Equal(expected.Scales.ToArray(), actual.Scales.ToArray());
    }
}
