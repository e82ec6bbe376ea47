using CsCheck;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.DeviceWorker;
using SplitFrozen.Tasks;

namespace SplitFrozen.Services.Tests.DeviceWorker;

public sealed class MessagePackerTests
{
    private const int Width = 6;

    [Fact]
    public void Add_AnySamples_KeepsMessagesWithinTheBoundAndLosesNothing() => Gen.Select(
        Gen.Int[1, 40].Array[1, 30], Gen.Int[1200, 6000], Gen.Bool, Gen.ULong).Sample((lengths, bound, perToken, seed) =>
    {
        var samples = lengths.Select((length, row) => Sample(row, length, perToken, seed)).ToArray();
        var batches = Pack(samples, bound);
        foreach (var batch in batches)
        {
            var body = ActivationBatchCodec.Encode(batch);
            Assert.True(body.Length <= bound || batch.Lengths.Length == 1, $"{body.Length} bytes of {bound} for {batch.Lengths.Length} samples");
            Assert.True(ActivationBatchCodec.TryDecode(body, new WireLimits(), out _, out var reason), reason);
        }

        Assert.Equal(samples.Select(sample => sample.Sample.Id), batches.SelectMany(batch => batch.SampleIds));
        Assert.Equal(samples.SelectMany(sample => sample.Sample.Labels), batches.SelectMany(batch => batch.Labels));
        Assert.Equal(samples.SelectMany(sample => sample.HiddenStates.ToArray()), batches.SelectMany(batch => batch.HiddenStates.ToArray()));
    }, iter: 200);

    [Fact]
    public void Add_NextSampleWouldStillFit_DoesNotCloseEarly()
    {
        var samples = Enumerable.Range(0, 20).Select(row => Sample(row, 10, false, 1)).ToArray();
        var batches = Pack(samples, 1024 + (10 * 256));
        Assert.All(batches.SkipLast(1), batch => Assert.True(ActivationBatchCodec.Encode(batch).Length > 10 * 256 * 0.8));
    }

    private static List<ActivationBatch> Pack(IEnumerable<ComputedSample> samples, int bound)
    {
        var client = new DeviceClient("client", 1, []);
        var packer = new MessagePacker(client, "run", new string('a', 64), Width, WireType.Float32, bound);
        var batches = samples.Select(packer.Add).OfType<PackedBatch>().ToList();
        batches.Add(packer.Close()!);
        Assert.Null(packer.Close());
        return [.. batches.Select(packed => packed.Batch)];
    }

    private static ComputedSample Sample(int row, int length, bool perToken, ulong seed)
    {
        var random = new SeededRandom(seed + (ulong)row);
        var states = new byte[length * Width * sizeof(float)];
        for (var i = 0; i < states.Length; i += sizeof(float))
        {
            BitConverter.TryWriteBytes(states.AsSpan(i), (float)random.NextGaussian());
        }

        int[] labels = [.. Enumerable.Range(0, perToken ? length : 1).Select(n => n % 5)];
        return new ComputedSample(new EncodedSample(SampleId.Training(row), new int[length], labels, perToken, 0), states, default, TimeSpan.Zero, default, default);
    }
}
