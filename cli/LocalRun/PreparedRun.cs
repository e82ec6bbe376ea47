using System.IO.Hashing;
using SplitFrozen.Cli.Reporting;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Cli.LocalRun;

/// <summary>Everything that a run reads, opened and checked: from here on the input is known to be good. Owns the model folder.</summary>
internal sealed class PreparedRun : IDisposable
{
    /// <summary>The resolved spec.</summary>
    public required RunSpec Spec { get; init; }

    /// <summary>The base model.</summary>
    public required ModelFolder Model { get; init; }

    /// <summary>Its tokenizer.</summary>
    public required ITextTokenizer Tokenizer { get; init; }

    /// <summary>The task with its samples.</summary>
    public required LoadedTask Data { get; init; }

    /// <summary>Training rows of each client.</summary>
    public required int[][] Partition { get; init; }

    /// <summary>The cut of each client.</summary>
    public int Cut(int client) => Spec.Clients.Cuts.Count == 0 ? Spec.Model.Boundary : Spec.Clients.Cuts[client % Spec.Clients.Cuts.Count];

    /// <summary>Lowest cut of all clients.</summary>
    public int LowestCut => Enumerable.Range(0, Partition.Length).Min(Cut);

    /// <summary>Share of the commonest class in the held-out split; null for language modelling.</summary>
    public double? MajorityShare => Data.Task.Kind == TaskKind.Classification
        ? Data.Evaluation.GroupBy(sample => sample.Class).Max(group => group.Count()) / (double)Data.Evaluation.Count
        : null;

    /// <summary>The run's record in its folder.</summary>
    public RunRecord Record(string runId) => new(runId, Model.Fingerprint, DataDigest(), Data.Task.ClassNames, Finished: false);

    /// <summary>What the report says about the run.</summary>
    public RunFacts Facts(string command, string folder, long trainableParameters) => new(
        Spec, command, folder, Data.Task.MetricName, Model.Config.Layers, Model.Fingerprint, trainableParameters,
        Data.Train.Count, Data.Evaluation.Count, Data.LeftOut, MajorityShare);

    /// <inheritdoc/>
    public void Dispose() => Model.Dispose();

    /// <summary>Digest of all samples in order: it changes when a data file or the tokenizer does.</summary>
    private string DataDigest()
    {
        var hash = new XxHash128();
        Span<byte> word = stackalloc byte[16];
        foreach (var sample in Data.Train.Concat(Data.Evaluation))
        {
            System.Buffers.Binary.BinaryPrimitives.WriteUInt128LittleEndian(word, sample.Digest.Value);
            hash.Append(word);
        }

        return new ContentDigest(hash.GetCurrentHashAsUInt128()).ToString();
    }
}
