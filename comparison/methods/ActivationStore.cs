using System.Collections.Concurrent;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Training.FineTuning;
using static TorchSharp.torch;

namespace SplitFrozen.Comparison.Methods;

/// <summary>
/// Activations of frozen blocks as they came over the wire, kept in memory by sample and cut: they are the same in every epoch
/// and for every method, partition and seed on one model, so a whole study computes each once. Thread-safe.
/// </summary>
/// <param name="data">The samples.</param>
/// <param name="wireType">How activations travel.</param>
public sealed class ActivationStore(LoadedTask data, WireType wireType)
{
    private readonly ConcurrentDictionary<(SampleId Id, int Cut), Entry> _entries = new();

    /// <summary>How activations travel.</summary>
    public WireType WireType { get; } = wireType;

    /// <summary>Bytes of the activations of some tokens on the wire, scales included.</summary>
    public static long Bytes(WireType wireType, long tokens, int width) => tokens * wireType.BytesPerToken(width);

    /// <summary>What a device does: runs its blocks over its samples and sends the result; samples that are here already are left out.</summary>
    /// <param name="encoder">The frozen blocks, at least as many as the cut.</param>
    /// <param name="cut">Blocks to run.</param>
    /// <param name="samples">The device's samples.</param>
    /// <param name="microBatch">Samples per forward.</param>
    /// <param name="cancellationToken">Stops between forwards.</param>
    public void Fill(FrozenEncoder encoder, int cut, IEnumerable<EncodedSample> samples, int microBatch, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(samples);
        foreach (var part in samples.Where(sample => !_entries.ContainsKey((sample.Id, cut))).Chunk(microBatch))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var noGradient = no_grad();
            using var layout = new SequenceLayout([.. part.Select(sample => sample.Tokens.Length)]);
            using var hidden = encoder.Encode([.. part.SelectMany(sample => sample.Tokens)], layout, cut);
            using var batch = SampleBatch.Split(hidden, cut, part);
            foreach (var sample in batch.Samples)
            {
                var (states, scales) = HiddenStateCodec.Encode(sample.Hidden, WireType);
                _entries[(sample.Id, cut)] = new Entry(states, scales, encoder.Width);
            }
        }
    }

    /// <summary>A sample as the server reads it. The caller disposes its hidden states.</summary>
    /// <exception cref="KeyNotFoundException">No device computed it at this cut.</exception>
    internal TrainingSample Read(SampleId id, int cut)
    {
        var sample = data[id];
        var entry = _entries[(id, cut)];
        return new TrainingSample(
            id, cut, HiddenStateCodec.Decode(entry.States, entry.Scales, sample.Tokens.Length, entry.Width, WireType), sample.Labels);
    }

    private sealed record Entry(byte[] States, byte[] Scales, int Width);
}
