using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;

namespace SplitFrozen.DeviceWorker;

/// <summary>A sample with its hidden states as they travel.</summary>
/// <param name="Sample">The sample.</param>
/// <param name="Rows">Its rows in the wire type; disposed when they are in a body.</param>
/// <param name="ComputeTime">Its share of the forward's time.</param>
/// <param name="Started">When the forward of its micro-batch began.</param>
/// <param name="Finished">When it ended.</param>
internal readonly record struct ComputedSample(
    EncodedSample Sample, EncodedRows Rows, TimeSpan ComputeTime, DateTimeOffset Started, DateTimeOffset Finished);

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
            HiddenStates = default,
        };
        var time = _open.Aggregate(TimeSpan.Zero, (sum, sample) => sum + sample.ComputeTime);
        var packed = new PackedBatch(batch, [.. _open.Select(sample => sample.Rows)], time, _open[0].Started, _open[^1].Finished);
        _open.Clear();
        _openBytes = HeaderBytes;
        return packed;
    }

    private static long Bytes(ComputedSample sample) =>
        sample.Rows.StateBytes + sample.Rows.ScaleBytes + (sizeof(int) * (long)sample.Sample.Labels.Length) + sizeof(int) + sizeof(long);
}

/// <summary>A batch that is ready to be encoded and sent.</summary>
/// <param name="Batch">The batch without its numbers.</param>
/// <param name="Rows">The numbers, sample by sample.</param>
/// <param name="ComputeTime">Time of its forward.</param>
/// <param name="Started">When the forward of its first sample began.</param>
/// <param name="Finished">When that of its last one ended.</param>
internal sealed record PackedBatch(ActivationBatch Batch, IReadOnlyList<EncodedRows> Rows, TimeSpan ComputeTime, DateTimeOffset Started, DateTimeOffset Finished)
{
    /// <summary>Makes the body, once: the rows are given back.</summary>
    /// <exception cref="ArgumentException">The batch is not one that a receiver would accept.</exception>
    public byte[] MakeBody()
    {
        var body = ActivationBatchCodec.Encode(Batch, (states, scales) =>
        {
            foreach (var rows in Rows)
            {
                rows.CopyTo(states[..rows.StateBytes], scales[..rows.ScaleBytes]);
                states = states[rows.StateBytes..];
                scales = scales[rows.ScaleBytes..];
            }
        });
        foreach (var rows in Rows)
        {
            rows.Dispose();
        }

        return body;
    }
}
