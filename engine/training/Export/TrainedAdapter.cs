using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Training.Checkpoints;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Training.Export;

/// <summary>The upper model of a run with what a checkpoint holds, ready to be exported. Lives on a compute thread.</summary>
public sealed class TrainedAdapter : IDisposable
{
    private readonly ModelFolder _folder;
    private readonly RunSpec _spec;
    private readonly IReadOnlyList<string> _classNames;
    private readonly UpperModel _model;

    private TrainedAdapter(ModelFolder folder, RunSpec spec, IReadOnlyList<string> classNames, UpperModel model, long step) =>
        (_folder, _spec, _classNames, _model, Step) = (folder, spec, classNames, model, step);

    /// <summary>Optimiser steps that the checkpoint holds.</summary>
    public long Step { get; }

    /// <summary>Number of trained weights.</summary>
    public long Parameters => _model.Parameters.Sum(parameter => parameter.Value.numel());

    /// <summary>Reads a checkpoint into the upper model of its run.</summary>
    /// <param name="folder">The base model; must stay open.</param>
    /// <param name="spec">The run's resolved spec.</param>
    /// <param name="runId">The run's id, which the checkpoint carries.</param>
    /// <param name="classNames">Classes of the task by index; empty for language modelling.</param>
    /// <param name="checkpoint">A checkpoint file, or the folder of checkpoints, of which the newest good one is taken.</param>
    /// <exception cref="CheckpointException">There is no checkpoint, or it cannot be used.</exception>
    public static TrainedAdapter Open(ModelFolder folder, RunSpec spec, string runId, IReadOnlyList<string> classNames, string checkpoint)
    {
        ArgumentNullException.ThrowIfNull(spec);
        ArgumentNullException.ThrowIfNull(classNames);
        var classifies = classNames.Count > 0;
        var model = UpperModel.Open(folder, RunModel.Options(spec, classNames.Count));
        try
        {
            using var tuner = new FineTuner(model, spec.Training, totalSteps: 1, seed: 0, labelsPerToken: !classifies);
            var position = File.Exists(checkpoint)
                ? CheckpointFolder.ReadFile(checkpoint, tuner.Optimizer, runId)
                : new CheckpointFolder(checkpoint).ReadLatest(tuner.Optimizer, runId);
            return position is null
                ? throw new CheckpointException(checkpoint, "there is no checkpoint yet.")
                : new TrainedAdapter(folder, spec, classNames, model, position.Step);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Writes the adapter in PEFT form.</summary>
    public void WritePeft(string output) => PeftExport.Write(
        _model,
        new AdapterDescription { BaseModel = _spec.Model.Path, BaseFingerprint = _folder.Fingerprint, FrozenWeights = _folder.FrozenWeights, ClassNames = _classNames },
        output);

    /// <summary>Writes the whole model with the adapter merged in.</summary>
    public void WriteMerged(string output) => MergedExport.Write(_model, _folder, _classNames, output);

    /// <inheritdoc/>
    public void Dispose() => _model.Dispose();
}
