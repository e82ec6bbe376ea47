using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;

namespace SplitFrozen.Training.Pipelining;

/// <summary>All stages in this process, linked by handles of tensors.</summary>
public sealed class LocalStageSet : StageSet
{
    private readonly List<List<LocalStage>> _stages = [];
    private readonly List<InProcessStageLink> _links = [];

    private LocalStageSet()
    {
    }

    /// <inheritdoc/>
    public override IReadOnlyList<IReadOnlyList<IStage>> Replicas => _stages;

    /// <summary>The stages' models by replica, the lowest first.</summary>
    public IEnumerable<IEnumerable<UpperModel>> Models => _stages.Select(stages => stages.Select(stage => stage.Model));

    /// <summary>Loads every stage's blocks.</summary>
    /// <param name="folder">The base model; must stay open.</param>
    /// <param name="options">Cuts, head and adapters of the whole.</param>
    /// <param name="boundaries">First block of every stage and the end of the last, see <see cref="StagePartition.Balanced"/>.</param>
    /// <param name="spec">The optimiser, the threads of each stage, and the number of replicas.</param>
    /// <param name="seed">Seed of the run, for dropout.</param>
    /// <param name="time">Clock of the reports.</param>
    public static async Task<LocalStageSet> OpenAsync(
        ModelFolder folder, UpperModelOptions options, IReadOnlyList<int> boundaries, TrainingSpec spec, ulong seed, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(boundaries);
        ArgumentNullException.ThrowIfNull(spec);
        var set = new LocalStageSet();
        try
        {
            for (var replica = 0; replica < spec.Replicas; replica++)
            {
                await set.AddReplicaAsync(folder, options, boundaries, spec, seed, time).ConfigureAwait(false);
            }

            return set;
        }
        catch
        {
            await set.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Frees stages, models and threads.</summary>
    public override async ValueTask DisposeAsync()
    {
        foreach (var stage in _stages.SelectMany(stages => stages))
        {
            await stage.DisposeAsync().ConfigureAwait(false);
        }

        _links.ForEach(link => link.Dispose());
    }

    private async Task AddReplicaAsync(ModelFolder folder, UpperModelOptions options, IReadOnlyList<int> boundaries, TrainingSpec spec, ulong seed, TimeProvider time)
    {
        var stages = new List<LocalStage>();
        _stages.Add(stages);
        var before = default(InProcessStageLink);
        for (var stage = 0; stage < boundaries.Count - 1; stage++)
        {
            var place = new StagePlace(stage, boundaries);
            var behind = place.IsLast ? null : new InProcessStageLink();
            if (behind is not null)
            {
                _links.Add(behind);
            }

            stages.Add(await LocalStage.OpenAsync(folder, options, place, spec, seed, before, behind, time).ConfigureAwait(false));
            before = behind;
        }
    }
}
