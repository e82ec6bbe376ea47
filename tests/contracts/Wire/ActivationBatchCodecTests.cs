using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text.Json;
using CsCheck;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Tests.Wire;

public sealed class ActivationBatchCodecTests
{
    [Fact]
    public void Encode_RandomBatch_DecodesToTheSame() => Gen.ULong.Sample(
        seed =>
        {
            var batch = Batches.Random(new SeededRandom(seed));
            var body = ActivationBatchCodec.Encode(batch);

            Assert.True(ActivationBatchCodec.TryDecode(body, new WireLimits(), out var decoded, out var reason), reason);
            Batches.AssertSame(batch, decoded);
            Assert.Equal(body, ActivationBatchCodec.Encode(decoded));
        },
        iter: 2000);

    [Theory]
    [InlineData(WireType.Float32, "F32")]
    [InlineData(WireType.Float16, "F16")]
    [InlineData(WireType.BFloat16, "BF16")]
    [InlineData(WireType.Int8, "I8")]
    public void Encode_Batch_IsASafetensorsFileThatCanBeReadByHand(WireType type, string typeName)
    {
        var batch = Batches.Small(type, labelsPerToken: true);
        var body = ActivationBatchCodec.Encode(batch);

        var headerLength = (int)BinaryPrimitives.ReadUInt64LittleEndian(body);
        using var json = JsonDocument.Parse(body.AsMemory(8, headerLength));
        var data = body.AsMemory(8 + headerLength);
        var metadata = json.RootElement.GetProperty("__metadata__").EnumerateObject().ToDictionary(entry => entry.Name, entry => entry.Value.GetString());
        Assert.Equal("splitfrozen-activations/1", metadata["format"]);
        Assert.Equal(("demo", "client-3", Batches.Fingerprint, "4", "token"), (metadata["run"], metadata["client"], metadata["fingerprint"], metadata["cut"], metadata["labels"]));
        Assert.Equal(Convert.ToHexStringLower(XxHash128.Hash(data.Span)), metadata["checksum"]);
        Assert.Equal(batch.HiddenStates.ToArray(), Tensor("hidden_states", typeName, "[3,2]"));
        Assert.Equal([2, 1], Integers(Tensor("lengths", "I32", "[2]")));
        Assert.Equal([11, -100, 42], Integers(Tensor("labels", "I32", "[3]")));
        var ids = Tensor("sample_ids", "I64", "[2]");
        Assert.Equal((17L, (1L << 62) + 5), (BinaryPrimitives.ReadInt64LittleEndian(ids), BinaryPrimitives.ReadInt64LittleEndian(ids.AsSpan(8))));
        Assert.Equal(type == WireType.Int8, json.RootElement.TryGetProperty("scales", out _));
        if (type == WireType.Int8)
        {
            Assert.Equal(batch.Scales.ToArray(), Tensor("scales", "F32", "[3]"));
        }

        byte[] Tensor(string name, string expectedType, string expectedShape)
        {
            var entry = json.RootElement.GetProperty(name);
            Assert.Equal((expectedType, expectedShape), (entry.GetProperty("dtype").GetString(), entry.GetProperty("shape").GetRawText()));
            var offsets = entry.GetProperty("data_offsets");
            return data[offsets[0].GetInt32()..offsets[1].GetInt32()].ToArray();
        }

        static int[] Integers(byte[] bytes) =>
            [.. bytes.Chunk(4).Select(chunk => BinaryPrimitives.ReadInt32LittleEndian(chunk))];
    }

    [Fact]
    public void Encode_SamplesOfOneToken_KeepsTheKindOfLabels()
    {
        var batch = Batches.Small() with { Lengths = [1, 1, 1], SampleIds = [new(1), new(2), new(3)], Labels = [4, 5, 6], LabelsPerToken = true };

        Assert.True(ActivationBatchCodec.TryDecode(ActivationBatchCodec.Encode(batch), new WireLimits(), out var decoded, out _));
        Assert.True(decoded.LabelsPerToken);
    }

    [Fact]
    public void TryDecode_GoodBody_CopiesNoHiddenStates()
    {
        var body = ActivationBatchCodec.Encode(Batches.Small());

        Assert.True(ActivationBatchCodec.TryDecode(body, new WireLimits(), out var decoded, out _));
        Assert.True(body.AsSpan().Overlaps(decoded.HiddenStates.Span));
    }

    [Fact]
    public void EncodeCacheEntries_RandomBatch_HoldsEverySampleAlone() => Gen.ULong.Sample(
        seed =>
        {
            var batch = Batches.Random(new SeededRandom(seed));
            var entries = ActivationBatchCodec.EncodeCacheEntries(batch);

            Assert.Equal(batch.Lengths.Length, entries.Count);
            var decoded = entries.Select(entry =>
            {
                Assert.True(ActivationBatchCodec.TryDecode(entry, new WireLimits(), out var single, out var reason), reason);
                Assert.Equal(("", "", 0L), (single.RunId, single.ClientId, Assert.Single(single.SampleIds).Value));
                return single;
            }).ToArray();
            Batches.AssertSame(batch, batch with
            {
                Lengths = [.. decoded.SelectMany(single => single.Lengths)],
                Labels = [.. decoded.SelectMany(single => single.Labels)],
                HiddenStates = decoded.SelectMany(single => single.HiddenStates.ToArray()).ToArray(),
                Scales = decoded.SelectMany(single => single.Scales.ToArray()).ToArray(),
            });
        },
        iter: 500);

    [Fact]
    public void EncodeCacheEntries_SameContentOfOtherRunAndRow_GivesTheSameBytes()
    {
        var first = Batches.Small();
        var second = first with { RunId = "other", ClientId = "someone", SampleIds = [new(90), new(91)] };

        Assert.Equal(
            ActivationBatchCodec.EncodeCacheEntries(first).Select(entry => entry.ToArray()), ActivationBatchCodec.EncodeCacheEntries(second).Select(entry => entry.ToArray()));
    }

    [Fact]
    public void EncodeCacheEntries_Released_AreNotReadAgain()
    {
        var entries = ActivationBatchCodec.EncodeCacheEntries(Batches.Small());
        entries.Release();
        entries.Release();

        Assert.Throws<ObjectDisposedException>(() => entries[0]);
    }

    [Fact]
    public void Encode_NumbersWrittenInPlace_GivesTheSameBytes() => Gen.ULong.Sample(
        seed =>
        {
            var batch = Batches.Random(new SeededRandom(seed));
            var body = ActivationBatchCodec.Encode(batch with { HiddenStates = default, Scales = default }, (states, scales) =>
            {
                batch.HiddenStates.Span.CopyTo(states);
                batch.Scales.Span.CopyTo(scales);
            });
            Assert.Equal(ActivationBatchCodec.Encode(batch), body);
        },
        iter: 200);

    [Fact]
    public void Encode_NumbersWrittenInPlaceAreNotFinite_Throws()
    {
        var batch = Batches.Small() with { WireType = WireType.Float32 };
        Assert.Contains("NaN", Assert.Throws<ArgumentException>(() => ActivationBatchCodec.Encode(batch, (states, _) => states.Fill(0xff))).Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, string> Unfit => new()
    {
        { "hidden states too short", "bytes of hidden states" },
        { "zero length", "at least 1" },
        { "no samples", "0 samples" },
        { "repeated id", "twice" },
        { "negative id", "names no sample" },
        { "id of no held-out row", "names no sample" },
        { "label", "negative" },
        { "not finite", "NaN" },
        { "scales missing", "of scales" },
        { "negative scale", "scale" },
        { "fingerprint", "fingerprint" },
        { "cut", "cut" },
        { "client", "client id" },
        { "lone surrogate", "client id" },
    };

    [Theory]
    [MemberData(nameof(Unfit))]
    public void Encode_UnfitBatch_Throws(string what, string expected)
    {
        var good = Batches.Small();
        var batch = what switch
        {
            "hidden states too short" => good with { HiddenStates = good.HiddenStates[1..] },
            "zero length" => good with { Lengths = [3, 0] },
            "no samples" => good with { Lengths = [], SampleIds = [], Labels = [], HiddenStates = default },
            "repeated id" => good with { SampleIds = [new(4), new(4)] },
            "negative id" => good with { SampleIds = [new(-4), new(4)] },
            "id of no held-out row" => good with { SampleIds = [new((1L << 62) | (1L << 31)), new(4)] },
            "label" => good with { Labels = [0, -100] },
            "not finite" => good with { HiddenStates = Batches.Numbers(6, WireType.Float32, i => i == 4 ? float.NaN : 0) },
            "scales missing" => Batches.Small(WireType.Int8) with { Scales = default },
            "negative scale" => Batches.Small(WireType.Int8) with { Scales = Batches.Numbers(3, WireType.Float32, i => -i) },
            "fingerprint" => good with { ModelFingerprint = "ABCDEF0123456789" },
            "cut" => good with { Cut = -1 },
            "client" => good with { ClientId = "a\nb" },
            _ => good with { ClientId = "\ud800" },
        };

        var exception = Assert.Throws<ArgumentException>(() => ActivationBatchCodec.Encode(batch));
        Assert.Contains(expected, exception.Message, StringComparison.Ordinal);
    }
}
