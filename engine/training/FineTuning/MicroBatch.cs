using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using static TorchSharp.torch;

namespace SplitFrozen.Training.FineTuning;

/// <summary>Some samples brought to the boundary and packed: hidden states [ΣT, H] in the samples' order, with layout and labels.</summary>
internal sealed class MicroBatch : IDisposable
{
    private MicroBatch(Tensor hidden, SequenceLayout layout, int[] labels, int countedLabels)
    {
        Hidden = hidden;
        Layout = layout;
        Labels = labels;
        CountedLabels = countedLabels;
    }

    public Tensor Hidden { get; }

    public SequenceLayout Layout { get; }

    public int[] Labels { get; }

    public int CountedLabels { get; }

    public static int Count(IEnumerable<int> labels) => labels.Count(label => label >= 0);

    public static int Count(IEnumerable<TrainingSample> samples) => samples.Sum(sample => Count(sample.Labels));

    /// <summary>The share of some counted labels in the mean loss over all of a step's; 0 where none counts.</summary>
    public static double Share(int counted, int total) => total == 0 ? 0.0 : (double)counted / total;

    /// <summary>Checks samples before anything is computed.</summary>
    /// <exception cref="ArgumentException">There is none, or one has more or fewer labels than it must.</exception>
    public static void Check(IReadOnlyList<TrainingSample> samples, bool labelsPerToken)
    {
        ArgumentNullException.ThrowIfNull(samples);
        if (samples.Count == 0)
        {
            throw new ArgumentException("There is no sample.", nameof(samples));
        }

        foreach (var sample in samples)
        {
            var labels = labelsPerToken ? sample.Hidden.shape[0] : 1;
            if (sample.Labels.Length != labels)
            {
                throw new ArgumentException($"Sample {sample.Id} has {sample.Labels.Length} labels, not {labels}.", nameof(samples));
            }
        }
    }

    /// <summary>Samples in a micro-batch of a batch; at least 1.</summary>
    public static int Size(TrainingSpec spec, int batch) => spec.MicroBatch > 0 ? spec.MicroBatch : Math.Max(1, batch);

    /// <summary>Seed of the dropout masks of a step's micro-batch, the same whoever trains it.</summary>
    public static ulong DropoutSeed(ulong seed, int step, int microBatch) => SeededRandom.ForStream(seed, "dropout", (ulong)step, (ulong)microBatch).NextUInt64();

    /// <summary>Samples whose hidden states [ΣT, H] are there already; they are taken over.</summary>
    public static MicroBatch Of(Tensor hidden, int[] lengths, int[] labels) => new(hidden, new SequenceLayout(lengths), labels, Count(labels));

    /// <summary>Tokens of each sample.</summary>
    public static int[] Lengths(IEnumerable<TrainingSample> samples) => [.. samples.Select(sample => (int)sample.Hidden.shape[0])];

    /// <summary>Labels of all samples, one after the other.</summary>
    public static int[] AllLabels(IEnumerable<TrainingSample> samples) => [.. samples.SelectMany(sample => sample.Labels)];

    /// <summary>Runs catch-up once for each cut below the boundary, and restores the order of the samples.</summary>
    public static MicroBatch Prepare(UpperModel model, TrainingSample[] samples)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var atBoundary = new Tensor[samples.Length];
        foreach (var group in Enumerable.Range(0, samples.Length).GroupBy(i => samples[i].Cut))
        {
            int[] members = [.. group];
            if (group.Key == model.Options.Boundary)
            {
                Array.ForEach(members, i => atBoundary[i] = samples[i].Hidden);
                continue;
            }

            using var layout = new SequenceLayout(Lengths(members.Select(i => samples[i])));
            var caughtUp = model.CatchUp(cat([.. members.Select(i => samples[i].Hidden)], 0), layout, group.Key);
            var start = 0L;
            foreach (var i in members)
            {
                var length = samples[i].Hidden.shape[0];
                atBoundary[i] = caughtUp.narrow(0, start, length);
                start += length;
            }
        }

        return Of(cat(atBoundary, 0).MoveToOuterDisposeScope(), Lengths(samples), AllLabels(samples));
    }

    public void Dispose()
    {
        Hidden.Dispose();
        Layout.Dispose();
    }
}
