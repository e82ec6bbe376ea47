using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Tests.Wire;

public sealed class HostileBodyTests
{
    private static readonly WireLimits Limits = new()
    {
        MaximumBodyBytes = 1 << 16,
        MaximumSamples = 8,
        MaximumTokensPerSample = 64,
        RunId = "demo",
        ClientId = "client-3",
        ModelFingerprint = Batches.Fingerprint,
        Cut = 4,
        Width = 2,
        WireType = WireType.Float32,
        LabelsPerToken = false,
        LabelLimit = 2,
    };

    [Fact]
    public void Decode_BodyThatMeetsAllLimits_IsAccepted() =>
        Assert.NotNull(ActivationBatchCodec.Decode(ActivationBatchCodec.Encode(Batches.Small()), Limits, out _));

    public static TheoryData<string, WireRefusalReason, string> Unexpected => new()
    {
        { "run", WireRefusalReason.NotExpected, "The run is 'x', but 'demo' is expected." },
        { "client", WireRefusalReason.NotExpected, "The client is 'x', but 'client-3' is expected." },
        { "fingerprint", WireRefusalReason.NotExpected, "another model" },
        { "cut", WireRefusalReason.NotExpected, "The cut is '3', but '4' is expected." },
        { "width", WireRefusalReason.NotExpected, "The width is '1', but '2' is expected." },
        { "wire type", WireRefusalReason.NotExpected, "The wire type is 'bf16', but 'f32' is expected." },
        { "kind of labels", WireRefusalReason.NotExpected, "The kind of labels is 'per token'" },
        { "label limit", WireRefusalReason.BadLabels, "The label 2 is not in [0, 2)." },
        { "too many samples", WireRefusalReason.TooManyTokens, "9 samples; at most 8" },
        { "too long", WireRefusalReason.TooManyTokens, "65 tokens; at most 64" },
        { "too large", WireRefusalReason.TooLarge, "at most 65536" },
    };

    [Theory]
    [MemberData(nameof(Unexpected))]
    public void Decode_GoodBodyThatIsNotWanted_IsRefusedWithItsReason(string what, WireRefusalReason reason, string expected)
    {
        var good = Batches.Small();
        var batch = what switch
        {
            "run" => good with { RunId = "x" },
            "client" => good with { ClientId = "x" },
            "fingerprint" => good with { ModelFingerprint = "0123456789abcdef" },
            "cut" => good with { Cut = 3 },
            "width" => good with { Width = 1, HiddenStates = good.HiddenStates[..12] },
            "wire type" => Batches.Small(WireType.BFloat16),
            "kind of labels" => Batches.Small(labelsPerToken: true),
            "label limit" => good with { Labels = [0, 2] },
            "too many samples" => Sized([1, 1, 1, 1, 1, 1, 1, 1, 1]),
            "too long" => Sized([65, 1]),
            _ => Sized([64 * 1024, 1]),
        };

        AssertRefused(ActivationBatchCodec.Encode(batch), reason, expected);

        ActivationBatch Sized(int[] lengths) => good with
        {
            Lengths = lengths,
            SampleIds = [.. lengths.Select((_, i) => new SampleId(i))],
            Labels = new int[lengths.Length],
            HiddenStates = new byte[lengths.Sum() * 8],
        };
    }

    public static TheoryData<string, WireRefusalReason, string> Lies => new()
    {
        { "garbage", WireRefusalReason.NotSafetensors, "header" },
        { "pickle", WireRefusalReason.NotSafetensors, "pickle" },
        { "empty", WireRefusalReason.NotSafetensors, "too few" },
        { "cut off", WireRefusalReason.NotSafetensors, "cut off" },
        { "longer", WireRefusalReason.NotSafetensors, "belong to none" },
        { "format 2", WireRefusalReason.BadMetadata, "'splitfrozen-activations/2'" },
        { "no format", WireRefusalReason.BadMetadata, "The format is ''" },
        { "no checksum", WireRefusalReason.BadMetadata, "'checksum' is missing" },
        { "unknown metadata", WireRefusalReason.BadMetadata, "'extra' is unknown" },
        { "cut is text", WireRefusalReason.BadMetadata, "The cut 'x'" },
        { "cut is huge", WireRefusalReason.BadMetadata, "The cut '99999999999'" },
        { "labels per word", WireRefusalReason.BadMetadata, "per 'word'" },
        { "fingerprint in capitals", WireRefusalReason.BadMetadata, "lower-case" },
        { "checksum too short", WireRefusalReason.BadMetadata, "32 lower-case" },
        { "hidden states missing", WireRefusalReason.BadTensors, "'hidden_states' is missing" },
        { "ids missing", WireRefusalReason.BadTensors, "'sample_ids' is missing" },
        { "lengths missing", WireRefusalReason.BadTensors, "'lengths'" },
        { "foreign tensor", WireRefusalReason.BadTensors, "'weights' does not belong" },
        { "scales beside floats", WireRefusalReason.BadTensors, "'scales' does not belong" },
        { "int8 without scales", WireRefusalReason.BadTensors, "'scales' is missing" },
        { "hidden states in F64", WireRefusalReason.BadElementType, "F64" },
        { "labels in F32", WireRefusalReason.BadElementType, "'labels' has element type F32" },
        { "hidden states of rank 3", WireRefusalReason.BadShape, "rank 3" },
        { "labels of the wrong extent", WireRefusalReason.BadShape, "'labels' has shape [3]" },
        { "fewer tokens than samples", WireRefusalReason.BadShape, "every sample has a token" },
        { "no samples", WireRefusalReason.BadShape, "every sample has a token" },
        { "width 0", WireRefusalReason.BadShape, "width 0" },
        { "header in another form", WireRefusalReason.NotCanonical, "another form" },
        { "tensors in another order", WireRefusalReason.NotCanonical, "another form" },
        { "leading zero in the cut", WireRefusalReason.NotCanonical, "another form" },
        { "flipped bit", WireRefusalReason.BadChecksum, "damaged" },
        { "length 0", WireRefusalReason.BadLengths, "length 0" },
        { "length negative", WireRefusalReason.BadLengths, "length -1" },
        { "lengths do not add up", WireRefusalReason.BadLengths, "add up to 4, but there are 3" },
        { "repeated id", WireRefusalReason.BadSampleIds, "train:17 is there twice" },
        { "id of no row", WireRefusalReason.BadSampleIds, "-1 names no sample" },
        { "negative label", WireRefusalReason.BadLabels, "-100" },
        { "NaN", WireRefusalReason.NotFinite, "NaN" },
        { "infinity", WireRefusalReason.NotFinite, "infinity" },
    };

    [Theory]
    [MemberData(nameof(Lies))]
    public void Decode_BodyWrittenByHand_IsRefusedWithItsReason(string what, WireRefusalReason reason, string expected)
    {
        var raw = new RawBody();
        var body = what switch
        {
            "garbage" => [.. Enumerable.Range(0, 300).Select(i => (byte)(i * 37))],
            "pickle" => [0x80, 4, 0x95, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, .. new byte[100]],
            "empty" => [],
            "cut off" => raw.ToBytes()[..^1],
            "longer" => [.. raw.ToBytes(), 0],
            "format 2" => raw.Meta("format", "splitfrozen-activations/2").ToBytes(),
            "no format" => raw.Meta("format", null).ToBytes(),
            "no checksum" => raw.ToBytes(writeChecksum: false),
            "unknown metadata" => raw.Meta("extra", "1").ToBytes(),
            "cut is text" => raw.Meta("cut", "x").ToBytes(),
            "cut is huge" => raw.Meta("cut", "99999999999").ToBytes(),
            "labels per word" => raw.Meta("labels", "word").ToBytes(),
            "fingerprint in capitals" => raw.Meta("fingerprint", Batches.Fingerprint.ToUpperInvariant()).ToBytes(),
            "checksum too short" => raw.ToBytes(checksum: "00"),
            "hidden states missing" => raw.Drop("hidden_states").ToBytes(),
            "ids missing" => raw.Drop("sample_ids").ToBytes(),
            "lengths missing" => raw.Drop("lengths").ToBytes(),
            "foreign tensor" => raw.Set("weights", "F32", "[1]", new byte[4]).ToBytes(),
            "scales beside floats" => raw.Set("scales", "F32", "[3]", new byte[12]).ToBytes(),
            "int8 without scales" => raw.Set("hidden_states", "I8", "[3,2]", new byte[6]).ToBytes(),
            "hidden states in F64" => raw.Set("hidden_states", "F64", "[3,2]", new byte[48]).ToBytes(),
            "labels in F32" => raw.Set("labels", "F32", "[2]", new byte[8]).ToBytes(),
            "hidden states of rank 3" => raw.Set("hidden_states", "F32", "[3,2,1]", new byte[24]).ToBytes(),
            "labels of the wrong extent" => raw.Set("labels", "I32", "[3]", new byte[12]).ToBytes(),
            "fewer tokens than samples" => raw.Set("hidden_states", "F32", "[1,2]", new byte[8]).ToBytes(),
            "no samples" => raw.Set("lengths", "I32", "[0]", []).ToBytes(),
            "width 0" => raw.Set("hidden_states", "F32", "[3,0]", []).ToBytes(),
            "header in another form" => raw.ToBytes(space: " "),
            "tensors in another order" => raw.Reverse().ToBytes(),
            "leading zero in the cut" => raw.Meta("cut", "04").ToBytes(),
            "flipped bit" => Flip(raw.ToBytes()),
            "length 0" => raw.Set("lengths", "I32", "[2]", Integers(3, 0)).ToBytes(),
            "length negative" => raw.Set("lengths", "I32", "[2]", Integers(4, -1)).ToBytes(),
            "lengths do not add up" => raw.Set("lengths", "I32", "[2]", Integers(2, 2)).ToBytes(),
            "repeated id" => raw.Set("sample_ids", "I64", "[2]", Integers(17, 0, 17, 0)).ToBytes(),
            "id of no row" => raw.Set("sample_ids", "I64", "[2]", Integers(17, 0, -1, -1)).ToBytes(),
            "negative label" => raw.Set("labels", "I32", "[2]", Integers(0, -100)).ToBytes(),
            "NaN" => raw.Set("hidden_states", "F32", "[3,2]", Batches.Numbers(6, WireType.Float32, i => i == 5 ? float.NaN : i)).ToBytes(),
            _ => raw.Set("hidden_states", "F32", "[3,2]", Batches.Numbers(6, WireType.Float32, i => i == 0 ? float.NegativeInfinity : i)).ToBytes(),
        };

        AssertRefused(body, reason, expected);
    }

    [Fact]
    public void Decode_ScaleThatIsNotANumber_IsRefused()
    {
        var body = ActivationBatchCodec.Encode(Batches.Small(WireType.Int8));
        var header = (int)BinaryPrimitives.ReadUInt64LittleEndian(body) + 8;
        // The scales are the last of the tensors of width 4, before 6 bytes of hidden states.
        BinaryPrimitives.WriteSingleLittleEndian(body.AsSpan(body.Length - 10), float.NaN);
        Encoding.ASCII.GetBytes(Convert.ToHexStringLower(XxHash128.Hash(body.AsSpan(header))), body.AsSpan(body.AsSpan().IndexOf("\"checksum\":\""u8) + 12));

        Assert.Null(ActivationBatchCodec.Decode(body, Limits with { WireType = WireType.Int8 }, out var refusal));
        Assert.Equal(WireRefusalReason.BadScales, refusal!.Reason);
    }

    /// <summary>The raw bodies above are refused for their fault alone: without one they are accepted.</summary>
    [Fact]
    public void Decode_BodyWrittenByHandWithoutFault_IsAccepted()
    {
        var body = new RawBody().ToBytes();

        Assert.Equal(ActivationBatchCodec.Encode(Batches.Small()), body);
        Assert.NotNull(ActivationBatchCodec.Decode(body, Limits, out _));
    }

    [Fact]
    public void Decode_MutatedBodies_NeverThrowsAndAcceptsOnlyWhatEncodesToTheSame()
    {
        var random = new SeededRandom(20_250_318);
        var accepted = 0;
        for (var round = 0; round < 300; round++)
        {
            var original = ActivationBatchCodec.Encode(Batches.Random(random));
            for (var i = 0; i < 400; i++)
            {
                var body = Mutate(original, random);
                var decoded = ActivationBatchCodec.Decode(body, new WireLimits(), out var refusal);
                Assert.Equal(decoded is null, refusal is not null);
                if (decoded is not null)
                {
                    accepted++;
                    Assert.Equal(body, ActivationBatchCodec.Encode(decoded));
                }
            }
        }

        // Some mutations change only free text of the metadata; were none accepted, the test would not look at acceptance.
        Assert.InRange(accepted, 1, 60_000);
    }

    private static byte[] Mutate(byte[] original, SeededRandom random)
    {
        var header = (int)BinaryPrimitives.ReadUInt64LittleEndian(original) + 8;
        List<byte> body = [.. original];
        for (var count = 1 + random.NextInt32(3); count > 0; count--)
        {
            // Half of the faults hit the header, which is where a decoder breaks.
            var place = random.NextInt32(random.NextInt32(2) == 0 ? Math.Min(header, body.Count) : body.Count);
            switch (random.NextInt32(6))
            {
                case 0:
                    body[place] ^= (byte)(1 << random.NextInt32(8));
                    break;
                case 1:
                    body[place] = (byte)random.NextInt32(256);
                    break;
                case 2:
                    body[place] = "{}[]\",:0123456789-ae "u8[random.NextInt32(21)];
                    break;
                case 3:
                    body.Insert(place, (byte)random.NextInt32(128));
                    break;
                case 4 when body.Count > 1:
                    body.RemoveRange(place, Math.Min(1 + random.NextInt32(8), body.Count - place));
                    break;
                default:
                    body.AddRange(body.GetRange(place, Math.Min(16, body.Count - place)));
                    break;
            }

            if (body.Count == 0)
            {
                break;
            }
        }

        // A sender can always sum its own forgery, so most forgeries come with a checksum that holds.
        var bytes = body.ToArray();
        if (random.NextInt32(4) > 0 && bytes.Length > header && bytes.AsSpan().IndexOf("\"checksum\":\""u8) is var at and > 0 && at + 44 < header)
        {
            Encoding.ASCII.GetBytes(Convert.ToHexStringLower(XxHash128.Hash(bytes.AsSpan(header))), bytes.AsSpan(at + 12));
        }

        return bytes;
    }

    private static byte[] Flip(byte[] body)
    {
        body[^1] ^= 1;
        return body;
    }

    private static byte[] Integers(params int[] values) => [.. values.SelectMany(BitConverter.GetBytes)];

    private static void AssertRefused(byte[] body, WireRefusalReason reason, string expected)
    {
        Assert.Null(ActivationBatchCodec.Decode(body, Limits, out var refusal));
        Assert.NotNull(refusal);
        Assert.True(refusal.Reason == reason, $"{refusal.Reason}: {refusal.Text}");
        Assert.Contains(expected, refusal.Text, StringComparison.Ordinal);
        Assert.False(ActivationBatchCodec.TryDecode(body, Limits, out _, out var text));
        Assert.Equal(refusal.Text, text);
    }
}
