using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Training.Checkpoints;
using SplitFrozen.Training.Export;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Cli.LocalRun;

/// <summary>The upper model of a run with what a checkpoint holds, ready to be exported. Lives on a compute thread.</summary>
internal sealed class TrainedAdapter : IDisposable
{
    private readonly ModelFolder _folder;
    private readonly RunSpec _spec;
    private readonly RunRecord _record;
    private readonly UpperModel _model;

    private TrainedAdapter(ModelFolder folder, RunSpec spec, RunRecord record, UpperModel model, long step) =>
        (_folder, _spec, _record, _model, Step) = (folder, spec, record, model, step);

    /// <summary>Optimiser steps that the checkpoint holds.</summary>
    public long Step { get; }

    /// <summary>Number of trained weights.</summary>
    public long Parameters => _model.Parameters.Sum(parameter => parameter.Value.numel());

    /// <summary>Reads a checkpoint into the upper model of its run.</summary>
    /// <param name="folder">The base model; must stay open.</param>
    /// <param name="spec">The run's resolved spec.</param>
    /// <param name="record">The run's record.</param>
    /// <param name="checkpoint">A checkpoint file, or the folder of checkpoints, of which the newest good one is taken.</param>
    /// <exception cref="InputException">There is no checkpoint.</exception>
    public static TrainedAdapter Open(ModelFolder folder, RunSpec spec, RunRecord record, string checkpoint)
    {
        var classifies = record.ClassNames.Count > 0;
        var model = UpperModel.Open(folder, new UpperModelOptions
        {
            LowestCut = spec.Model.Boundary,
            Boundary = spec.Model.Boundary,
            Head = classifies ? HeadKind.Classification : HeadKind.LanguageModel,
            Classes = record.ClassNames.Count,
            Lora = new LoraConfig(spec.Lora.Rank, spec.Lora.Alpha, spec.Lora.Dropout, spec.Lora.Targets, spec.Lora.RankStabilized),
            Seed = unchecked((ulong)spec.Seed),
        });
        try
        {
            using var tuner = new FineTuner(model, spec.Training, totalSteps: 1, seed: 0, labelsPerToken: !classifies);
            var position = File.Exists(checkpoint)
                ? CheckpointFolder.ReadFile(checkpoint, tuner.Optimizer, record.RunId)
                : new CheckpointFolder(checkpoint).ReadLatest(tuner.Optimizer, record.RunId);
            return position is null
                ? throw new InputException($"{checkpoint}: there is no checkpoint yet.")
                : new TrainedAdapter(folder, spec, record, model, position.Step);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Writes the adapter in PEFT form.</summary>
    public void WritePeft(string output) => PeftExport.Write(
        _model, new AdapterDescription { BaseModel = _spec.Model.Path, BaseFingerprint = _folder.Fingerprint, ClassNames = _record.ClassNames }, output);

    /// <summary>Writes the whole model with the adapter merged in.</summary>
    public void WriteMerged(string output) => MergedExport.Write(_model, _folder, _record.ClassNames, output);

    /// <inheritdoc/>
    public void Dispose() => _model.Dispose();
}
