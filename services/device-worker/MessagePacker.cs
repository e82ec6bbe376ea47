using SplitFrozen.Contracts.Wire;
using SplitFrozen.Tasks;

namespace SplitFrozen.DeviceWorker;

/// <summary>A sample with its hidden states as they travel.</summary>
/// <param name="Sample">The sample.</param>
/// <param name="HiddenStates">Rows <c>[T, H]</c> in the wire type.</param>
/// <param name="Scales">One float32 per row for int8, else empty.</param>
/// <param name="ComputeTime">Its share of the forward's time.</param>
/// <param name="Started">When the forward of its micro-batch began.</param>
/// <param name="Finished">When it ended.</param>
internal readonly record struct ComputedSample(
    EncodedSample Sample, ReadOnlyMemory<byte> HiddenStates, ReadOnlyMemory<byte> Scales, TimeSpan ComputeTime, DateTimeOffset Started, DateTimeOffset Finished);

/// <summary>
/// Packs the samples of one client into batches, in order, and closes a batch before it would grow beyond the bound. A
/// sample that is larger than the bound travels alone.
/// </summary>
internal sealed class MessagePacker(DeviceClient client, string runId, string fingerprint, int width, WireType wireType, int messageBytes)
{
    // Safetensors header with metadata; its tensors' places grow by a few bytes only.
    private const int HeaderBytes = 1024;

    private readonly List<ComputedSample> _open = [];
    private long _openBytes = HeaderBytes;

    /// <summary>Adds a sample; returns the batch that had to be closed before it, or null.</summary>
    public PackedBatch? Add(ComputedSample sample)
    {
        var bytes = Bytes(sample);
        var closed = _open.Count > 0 && _openBytes + bytes > messageBytes ? Close() : null;
        _open.Add(sample);
        _openBytes += bytes;
        return closed;
    }

    /// <summary>The open batch, or null when it is empty.</summary>
    public PackedBatch? Close()
    {
        if (_open.Count == 0)
        {
            return null;
        }

        var batch = new ActivationBatch
        {
            RunId = runId,
            ClientId = client.ClientId,
            ModelFingerprint = fingerprint,
            Cut = client.Cut,
            Width = width,
            WireType = wireType,
            Lengths = [.. _open.Select(sample => sample.Sample.Tokens.Length)],
            SampleIds = [.. _open.Select(sample => sample.Sample.Id)],
            Labels = [.. _open.SelectMany(sample => sample.Sample.Labels)],
            LabelsPerToken = _open[0].Sample.LabelsPerToken,
            HiddenStates = Joined(_open, sample => sample.HiddenStates),
            Scales = Joined(_open, sample => sample.Scales),
        };
        var time = _open.Aggregate(TimeSpan.Zero, (sum, sample) => sum + sample.ComputeTime);
        var packed = new PackedBatch(batch, time, _open[0].Started, _open[^1].Finished);
        _open.Clear();
        _openBytes = HeaderBytes;
        return packed;
    }

    private static long Bytes(ComputedSample sample) =>
        sample.HiddenStates.Length + sample.Scales.Length + (sizeof(int) * (long)sample.Sample.Labels.Length) + sizeof(int) + sizeof(long);

    private static byte[] Joined(List<ComputedSample> samples, Func<ComputedSample, ReadOnlyMemory<byte>> part)
    {
        var joined = new byte[samples.Sum(sample => part(sample).Length)];
        var offset = 0;
        foreach (var sample in samples)
        {
            part(sample).Span.CopyTo(joined.AsSpan(offset));
            offset += part(sample).Length;
        }

        return joined;
    }
}

/// <summary>A batch that is ready to be encoded and sent.</summary>
/// <param name="Batch">The batch.</param>
/// <param name="ComputeTime">Time of its forward.</param>
/// <param name="Started">When the forward of its first sample began.</param>
/// <param name="Finished">When that of its last one ended.</param>
internal sealed record PackedBatch(ActivationBatch Batch, TimeSpan ComputeTime, DateTimeOffset Started, DateTimeOffset Finished);
