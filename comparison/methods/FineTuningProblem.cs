using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Tasks;

namespace SplitFrozen.Comparison.Methods;

/// <summary>What all methods are given alike: model, data and hyperparameters. Who holds which sample is no part of it.</summary>
/// <param name="Model">The base model; stays the caller's.</param>
/// <param name="Data">Training and held-out samples.</param>
/// <param name="Spec">Boundary, LoRA, optimiser, epochs, batch size and seed; its clients are not looked at.</param>
public sealed record FineTuningProblem(ModelFolder Model, LoadedTask Data, RunSpec Spec)
{
    /// <summary>The run's seed as the generators take it.</summary>
    internal ulong Seed => unchecked((ulong)Spec.Seed);

    /// <summary>Whether labels are per token.</summary>
    internal bool IsLanguageModel => Data.Task.Kind == TaskKind.LanguageModel;
}

/// <summary>A holder of data.</summary>
/// <param name="Index">Number of the client, from 0.</param>
/// <param name="Cut">Blocks that its device runs in split methods.</param>
/// <param name="Samples">Its training samples, at least one.</param>
public sealed record ClientShare(int Index, int Cut, IReadOnlyList<EncodedSample> Samples)
{
    /// <summary>The clients of a partition.</summary>
    /// <param name="problem">Training data, boundary and cuts.</param>
    /// <param name="partition">Row indices into the training data, <c>[client][rows]</c>.</param>
    public static IReadOnlyList<ClientShare> Of(FineTuningProblem problem, int[][] partition)
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(partition);
        var cuts = problem.Spec.Clients.Cuts;
        return
        [
            .. partition.Select((rows, client) => new ClientShare(
                client, cuts.Count == 0 ? problem.Spec.Model.Boundary : cuts[client % cuts.Count], [.. rows.Select(row => problem.Data.Train[row])])),
        ];
    }

    /// <summary>Shares of all training samples, one a client, adding up to 1.</summary>
    internal static double[] Weights(IReadOnlyList<ClientShare> clients)
    {
        var total = (double)clients.Sum(client => client.Samples.Count);
        return [.. clients.Select(client => client.Samples.Count / total)];
    }
}
