using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;

namespace SplitFrozen.Comparison.Fleet.Costs;

/// <summary>
/// Bytes of what travels, in the forms that this system writes: activation messages of <see cref="ActivationBatchCodec"/>, adapters as PEFT's
/// safetensors file in f32. Broker and TCP framing are left out (below 1 % of a message of some hundred kilobytes).
/// </summary>
public sealed class TransferSizes(Workload workload)
{
    // Ids of the lengths that real ones have: a run id of name and 8 digits, a client id, a SHA-256.
    private static readonly string s_fingerprint = new('0', 64);

    /// <summary>A message of hidden states and labels of some samples of one client at a cut.</summary>
    public long Activations(IReadOnlyList<SampleSize> samples, int cut)
    {
        ArgumentNullException.ThrowIfNull(samples);
        return ActivationBatchCodec.EncodedLength(new ActivationBatch
        {
            RunId = "run-00000000",
            ClientId = "client-1",
            ModelFingerprint = s_fingerprint,
            Cut = cut,
            Width = workload.Model.Width,
            WireType = workload.WireType,
            Lengths = [.. samples.Select(sample => sample.Tokens)],
            SampleIds = [],
            Labels = [],
            LabelsPerToken = LabelsPerToken,
            HiddenStates = default,
        });
    }

    /// <summary>The gradients that SplitLoRA's server sends back for such a message: the same, without labels.</summary>
    public long Gradients(IReadOnlyList<SampleSize> samples, int cut)
    {
        ArgumentNullException.ThrowIfNull(samples);
        return Activations(samples, cut) - (sizeof(int) * (LabelsPerToken ? samples.Sum(sample => (long)sample.Tokens) : samples.Count));
    }

    /// <summary>An adapter file of the blocks <c>[from, to)</c>, with the classification head where <paramref name="to"/> is the number of blocks.</summary>
    public long Adapter(int from, int to)
    {
        var writer = new SafetensorsWriter();
        writer.SetMetadata("format", "pt");
        writer.SetMetadata("splitfrozen_base_fingerprint", s_fingerprint);
        foreach (var (name, shape) in TrainableShapes(from, to))
        {
            writer.Add("base_model.model." + ModelInitialization.InFile(workload.Model.Family, name), ElementType.Float32, shape, static _ => { });
        }

        return writer.Length;
    }

    /// <summary>Trainable parameters of the blocks <c>[from, to)</c>, and of the classification head where <paramref name="to"/> is the number of blocks.</summary>
    public long TrainableParameters(int from, int to) => TrainableShapes(from, to).Sum(tensor => tensor.Shape.Aggregate(1L, (product, extent) => product * extent));

    /// <summary>The raw samples, for training in one place: token ids and labels as 32-bit integers.</summary>
    public long RawSamples(IReadOnlyList<SampleSize> samples)
    {
        ArgumentNullException.ThrowIfNull(samples);
        return sizeof(int) * samples.Sum(sample => (long)sample.Tokens + (LabelsPerToken ? sample.Tokens : 1));
    }

    /// <summary>A client's samples as SplitFrozen's messages hold them, in order: bounded in samples and in bytes.</summary>
    public IEnumerable<ArraySegment<T>> Messages<T>(T[] samples, Func<T, SampleSize> size)
    {
        ArgumentNullException.ThrowIfNull(samples);
        ArgumentNullException.ThrowIfNull(size);
        var perToken = workload.WireType.BytesPerToken(workload.Model.Width);
        var (begin, bytes) = (0, 0L);
        for (var i = 0; i < samples.Length; i++)
        {
            var more = size(samples[i]).Tokens * perToken;
            if (i > begin && (bytes + more > workload.MessageBytes || i - begin == workload.MessageSamples))
            {
                yield return new ArraySegment<T>(samples, begin, i - begin);
                (begin, bytes) = (i, 0);
            }

            bytes += more;
        }

        if (begin < samples.Length)
        {
            yield return new ArraySegment<T>(samples, begin, samples.Length - begin);
        }
    }

    private bool LabelsPerToken => workload.Head == HeadKind.LanguageModel;

    private IEnumerable<(string Name, long[] Shape)> TrainableShapes(int from, int to)
    {
        for (var block = from; block < to; block++)
        {
            foreach (var layer in BlockLayers.Of(workload.Model, workload.Lora, block).Where(layer => layer.Adapted))
            {
                yield return ($"{layer.Path}.lora_A.weight", [workload.Lora.Rank, layer.Inputs]);
                yield return ($"{layer.Path}.lora_B.weight", [layer.Outputs, workload.Lora.Rank]);
            }
        }

        if (to == workload.Model.Layers && workload.Head == HeadKind.Classification)
        {
            yield return ("score.weight", [workload.Classes, workload.Model.Width]);
        }
    }
}
