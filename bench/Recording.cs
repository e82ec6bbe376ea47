using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Tokenizers;
using SplitFrozen.Torch;

namespace SplitFrozen.Bench;

/// <summary>
/// Activations of some samples as they travel, to be sent again and again: row <c>r</c> of a data set of any size is a copy of
/// sample <c>r mod n</c>, with a digest of its own, so that every row has its own cache entry.
/// </summary>
internal sealed class Recording
{
    private readonly (int Length, int Label, ReadOnlyMemory<byte> States)[] _samples;

    private Recording(string fingerprint, int width, int cut, int labelBound, (int Length, int Label, ReadOnlyMemory<byte> States)[] samples) =>
        (Fingerprint, Width, Cut, LabelBound, _samples) = (fingerprint, width, cut, labelBound, samples);

    /// <summary>Fingerprint of the model.</summary>
    public string Fingerprint { get; }

    /// <summary>Hidden width H.</summary>
    public int Width { get; }

    /// <summary>Blocks applied.</summary>
    public int Cut { get; }

    /// <summary>Number of classes.</summary>
    public int LabelBound { get; }

    /// <summary>Normal numbers in float16, of a width and a length in tokens, as no model makes them: for what only depends on sizes.</summary>
    public static Recording Synthetic(int width, int length, int samples)
    {
        var random = new SeededRandom(1);
        return new Recording(new string('b', 64), width, 6, 2, [.. Enumerable.Range(0, samples).Select(i => (length, i % 2, States(random, width * length)))]);
    }

    /// <summary>The sample model's own hidden states of the first sentences of the demo, at cut 2 in float16.</summary>
    public static async Task<Recording> OfDemoAsync(string samplesFolder, int samples)
    {
        const int Boundary = 2;
        const int Classes = 2;
        var path = Path.Combine(samplesFolder, "base-model");
        using var model = ModelFolder.Open(path);
        var task = new TaskSpec { Kind = "classification", Train = "demo/train.csv", Evaluation = "demo/held_out.csv", TextColumns = ["text"], TargetColumn = "label", TrainLimit = samples };
        var data = TaskData.Load(task, samplesFolder, TokenizerFolder.Open(path), model.Config.MaximumPositions);
        using var compute = new ComputeThread("recording", 1);
        return await compute.RunAsync(() =>
        {
            using var encoder = FrozenEncoder.Open(model, Boundary);
            return new Recording(model.Fingerprint, model.Config.Width, Boundary, Classes, [.. data.Train.Select(sample =>
            {
                using var layout = new SequenceLayout([sample.Tokens.Length]);
                using var hidden = encoder.Encode(sample.Tokens, layout);
                return (sample.Tokens.Length, sample.Class, (ReadOnlyMemory<byte>)HiddenStateCodec.Encode(hidden, WireType.Float16).States);
            })]);
        }).ConfigureAwait(false);
    }

    /// <summary>The manifest of some training rows. The run's name is in the digests: no other run finds its entries.</summary>
    public ManifestEntry[] Manifest(string runId, IEnumerable<int> rows)
    {
        var run = XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(runId));
        return [.. rows.Select(row => new ManifestEntry(SampleId.Training(row), Of(row).Length, new ContentDigest(new UInt128(run, (ulong)row))))];
    }

    /// <summary>The message body of some rows of a client.</summary>
    public byte[] Body(string runId, string clientId, IReadOnlyList<SampleId> ids)
    {
        var samples = ids.Select(id => Of(id.Row)).ToArray();
        var states = new byte[samples.Sum(sample => sample.States.Length)];
        var offset = 0;
        foreach (var sample in samples)
        {
            sample.States.Span.CopyTo(states.AsSpan(offset));
            offset += sample.States.Length;
        }

        return ActivationBatchCodec.Encode(new ActivationBatch
        {
            RunId = runId, ClientId = clientId, ModelFingerprint = Fingerprint, Cut = Cut, Width = Width, WireType = WireType.Float16,
            Lengths = Array.ConvertAll(samples, sample => sample.Length), SampleIds = [.. ids], Labels = Array.ConvertAll(samples, sample => sample.Label),
            LabelsPerToken = false, HiddenStates = states,
        });
    }

    private (int Length, int Label, ReadOnlyMemory<byte> States) Of(int row) => _samples[row % _samples.Length];

    private static ReadOnlyMemory<byte> States(SeededRandom random, int count)
    {
        var states = new byte[count * sizeof(short)];
        for (var i = 0; i < count; i++)
        {
            BinaryPrimitives.WriteHalfLittleEndian(states.AsSpan(i * sizeof(short)), (Half)random.NextGaussian());
        }

        return states;
    }
}
