using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Tasks;

namespace SplitFrozen.Trainer.Hosting;

/// <summary>The model and the task of a run, opened by its spec. Owns the model folder.</summary>
internal sealed class OpenedRun : IDisposable
{
    private OpenedRun(RunSpec spec, ModelFolder model, ITask task) => (Spec, Model, Task) = (spec, model, task);

    public RunSpec Spec { get; }

    public ModelFolder Model { get; }

    public ITask Task { get; }

    /// <summary>Lowest cut that any client of the run may have; a device too weak for the boundary is given less, down to none.</summary>
    public int LowestCut => Spec.Clients.Cuts.Count == 0 ? 0 : Spec.Clients.Cuts.Min();

    /// <summary>What the coordinator must know.</summary>
    public RunFacts Facts
    {
        get
        {
            var config = Model.Config;
            var isLanguageModel = Task.Kind == TaskKind.LanguageModel;
            return new RunFacts(
                Model.Fingerprint,
                config.Width,
                isLanguageModel,
                isLanguageModel ? config.VocabularySize : Task.Classes,
                [.. Task.ClassNames],
                2e-9 * ModelFlops.LinearWeights(config),
                (Model.FrozenWeights == FrozenWeights.Int8 ? sizeof(sbyte) : sizeof(float)) * ModelFlops.LinearWeights(config),
                sizeof(float) * (long)config.Width * (config.Family == ModelFamily.Gpt2 ? config.MaximumPositions : 0));
        }
    }

    /// <summary>Opens what the spec names.</summary>
    /// <exception cref="TrainerException">Something is missing or does not fit; the message names it.</exception>
    public static OpenedRun Open(RunSpec spec)
    {
        ModelFolder? model = null;
        try
        {
            model = ModelFolder.Open(spec.Model.Path, spec.Device.WeightKind());
            if (spec.Model.Boundary >= model.Config.Layers)
            {
                throw new TrainerException($"model.boundary is {spec.Model.Boundary}, but the model has {model.Config.Layers} blocks: at least one must be left to train.");
            }

            return new OpenedRun(spec, model, TaskData.Describe(spec.Task, Environment.CurrentDirectory, model.Config.MaximumPositions));
        }
        catch (Exception exception)
        {
            model?.Dispose();
            throw exception is ModelFormatException or DataException
                ? new TrainerException($"The trainer cannot open the run: {exception.Message}", exception)
                : exception;
        }
    }

    public void Dispose() => Model.Dispose();
}
