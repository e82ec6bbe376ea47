using System.Diagnostics;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Coordinator;

/// <summary>
/// Remembers in which batch's trace a sample came in, for the links of the steps that use it. Bounded: beyond it the samples that came
/// first are forgotten, and so are all when the process ends; a step has fewer links then. Not thread-safe.
/// </summary>
/// <param name="capacity">Most samples remembered.</param>
internal sealed class BatchTraces(int capacity = BatchTraces.DefaultCapacity)
{
    /// <summary>Most links of one span: what OpenTelemetry's exporters send by default.</summary>
    public const int MaximumLinks = 128;

    /// <summary>About 10 MB at most.</summary>
    private const int DefaultCapacity = 1 << 16;

    private readonly Dictionary<SampleId, ActivityContext> _batches = [];
    private readonly Queue<SampleId> _order = [];

    /// <summary>Samples that are remembered.</summary>
    public int Count => _batches.Count;

    /// <summary>Samples came in. A batch that is not recorded leaves nothing to link to.</summary>
    public void Remember(IReadOnlyList<SampleId> samples, ActivityContext batch)
    {
        if (!batch.TraceFlags.HasFlag(ActivityTraceFlags.Recorded))
        {
            return;
        }

        foreach (var sample in samples)
        {
            if (!_batches.ContainsKey(sample))
            {
                _order.Enqueue(sample);
            }

            _batches[sample] = batch;
            if (_batches.Count > capacity)
            {
                _batches.Remove(_order.Dequeue());
            }
        }
    }

    /// <summary>The batches that samples came in, each once, in the samples' order.</summary>
    public IReadOnlyList<ActivityContext> Of(SampleReference[] samples)
    {
        var found = new List<ActivityContext>();
        var known = new HashSet<ActivitySpanId>();
        foreach (var sample in samples)
        {
            if (_batches.TryGetValue(sample.Id, out var batch) && known.Add(batch.SpanId))
            {
                found.Add(batch);
            }
        }

        return found;
    }
}
