using System.Buffers.Binary;
using System.Diagnostics;
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
    private const string BaseModel = "base-model";
    private const int DemoBoundary = 2;
    private const int DemoClasses = 2;

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

    /// <summary>The sample model's own hidden states of the first sentences of the demo, at its cut and in float16.</summary>
    public static async Task<Recording> OfDemoAsync(string samplesFolder, int samples)
    {
        var path = Path.Combine(samplesFolder, BaseModel);
        using var model = ModelFolder.Open(path);
        var data = Demo(samplesFolder, model);
        using var compute = new ComputeThread("recording", 1);
        return await compute.RunAsync(() =>
        {
            using var encoder = FrozenEncoder.Open(model, DemoBoundary);
            return new Recording(model.Fingerprint, model.Config.Width, DemoBoundary, DemoClasses, [.. data.Train.Take(samples).Select(sample =>
                (sample.Tokens.Length, sample.Class, (ReadOnlyMemory<byte>)Forward(encoder, [sample])))]);
        }).ConfigureAwait(false);
    }

    /// <summary>Seconds that the frozen blocks take for all sentences of the demo, training and held-out, on one thread in the device's micro-batches.</summary>
    public static async Task<double> MeasureForwardAsync(string samplesFolder, CancellationToken cancellationToken)
    {
        var path = Path.Combine(samplesFolder, BaseModel);
        using var model = ModelFolder.Open(path);
        var data = Demo(samplesFolder, model);
        using var compute = new ComputeThread("device", 1);
        return await compute.RunAsync(
            () =>
            {
                using var encoder = FrozenEncoder.Open(model, DemoBoundary);
                var microBatches = data.Evaluation.Concat(data.Train).Chunk(new DeviceSpec().MicroBatch).ToArray();
                Forward(encoder, microBatches[0]);
                var clock = Stopwatch.StartNew();
                foreach (var microBatch in microBatches)
                {
                    Forward(encoder, microBatch);
                }

                return clock.Elapsed.TotalSeconds;
            },
            cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The manifest of some training rows. The run's name is in the digests: no other run finds its entries.</summary>
    public ManifestEntry[] Manifest(string runId, IEnumerable<int> rows)
    {
        var run = XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(runId));
        return [.. rows.Select(row => new ManifestEntry(SampleId.Training(row), Of(row).Length, new ContentDigest(new UInt128(run, (ulong)row))))];
    }

    /// <summary>The message body of some rows of a client, by its index.</summary>
    public byte[] Body(string runId, int client, IReadOnlyList<SampleId> ids) => Body(runId, ClientNames.Of(client), ids);

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

    private static LoadedTask Demo(string samplesFolder, ModelFolder model) => TaskData.Load(
        new TaskSpec { Kind = "classification", Train = "demo/train.csv", Evaluation = "demo/held_out.csv", TextColumns = ["text"], TargetColumn = "label" },
        samplesFolder, TokenizerFolder.Open(Path.Combine(samplesFolder, BaseModel)), model.Config.MaximumPositions);

    /// <summary>Runs on a compute thread.</summary>
    private static byte[] Forward(FrozenEncoder encoder, EncodedSample[] samples)
    {
        using var layout = new SequenceLayout(Array.ConvertAll(samples, sample => sample.Tokens.Length));
        using var hidden = encoder.Encode([.. samples.SelectMany(sample => sample.Tokens)], layout);
        return HiddenStateCodec.Encode(hidden, WireType.Float16).States;
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
