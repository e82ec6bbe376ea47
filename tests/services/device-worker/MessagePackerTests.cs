using CsCheck;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.DeviceWorker;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Services.Tests.DeviceWorker;

public sealed class MessagePackerTests
{
    private const int Width = 6;

    public MessagePackerTests() => LibtorchLoader.Load();

    [Fact]
    public void Add_AnySamples_KeepsMessagesWithinTheBoundAndLosesNothing() => Gen.Select(
        Gen.Int[1, 40].Array[1, 30], Gen.Int[1200, 6000], Gen.Bool, Gen.ULong).Sample((lengths, bound, perToken, seed) =>
    {
        var samples = lengths.Select((length, row) => Sample(row, length, perToken, seed)).ToArray();
        var batches = Pack(samples, bound);
        foreach (var batch in batches)
        {
            var length = ActivationBatchCodec.EncodedLength(batch);
            Assert.True(length <= bound || batch.Lengths.Length == 1, $"{length} bytes of {bound} for {batch.Lengths.Length} samples");
        }

        Assert.Equal(samples.Select(sample => sample.Sample.Id), batches.SelectMany(batch => batch.SampleIds));
        Assert.Equal(samples.SelectMany(sample => sample.Sample.Labels), batches.SelectMany(batch => batch.Labels));
        Assert.Equal(samples.SelectMany(sample => States(sample.Sample.Id.Row, sample.Sample.Tokens.Length, seed)), batches.SelectMany(batch => batch.HiddenStates.ToArray()));
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
        return [.. batches.Select(packed =>
            ActivationBatchCodec.TryDecode(packed.MakeBody(), new WireLimits(), out var batch, out var reason) ? batch : throw new InvalidDataException(reason))];
    }

    private static ComputedSample Sample(int row, int length, bool perToken, ulong seed)
    {
        int[] labels = [.. Enumerable.Range(0, perToken ? length : 1).Select(n => n % 5)];
        using var states = TensorBytes.FromBytes(States(row, length, seed), [length, Width], ScalarType.Float32);
        return new ComputedSample(
            new EncodedSample(SampleId.Training(row), new int[length], labels, perToken, 0), HiddenStateCodec.EncodeRows(states, WireType.Float32), TimeSpan.Zero, default, default);
    }

    private static byte[] States(int row, int length, ulong seed)
    {
        var random = new SeededRandom(seed + (ulong)row);
        var states = new byte[length * Width * sizeof(float)];
        for (var i = 0; i < states.Length; i += sizeof(float))
        {
            BitConverter.TryWriteBytes(states.AsSpan(i), (float)random.NextGaussian());
        }

        return states;
    }
}
