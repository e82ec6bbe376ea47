namespace SplitFrozen.Contracts.Telemetry;

/// <summary>Names of activity sources, meters and attributes, the same in every service; <c>docs/telemetry.md</c> describes them.</summary>
public static class TelemetryNames
{
    /// <summary>Activity source and meter of the device worker.</summary>
    public const string DeviceWorker = "SplitFrozen.DeviceWorker";

    /// <summary>Activity source and meter of the coordinator.</summary>
    public const string Coordinator = "SplitFrozen.Coordinator";

    /// <summary>Activity source and meter of the trainer.</summary>
    public const string Trainer = "SplitFrozen.Trainer";

    /// <summary>Activity source of the engine's training: forward, backward and update.</summary>
    public const string Training = "SplitFrozen.Training";

    /// <summary>Activity source and meter of the data plane, over a broker and in one process alike.</summary>
    public const string Messaging = "SplitFrozen.Messaging";

    /// <summary>Meter of the activation cache.</summary>
    public const string ActivationCache = "SplitFrozen.ActivationCache";

    /// <summary>Matches all activity sources and meters above.</summary>
    public const string All = "SplitFrozen.*";

    /// <summary>Attribute: the run's id.</summary>
    public const string Run = "splitfrozen.run";

    /// <summary>Attribute: the client's id.</summary>
    public const string Client = "splitfrozen.client";

    /// <summary>Attribute: number of samples.</summary>
    public const string Samples = "splitfrozen.samples";

    /// <summary>Attribute: number of tokens.</summary>
    public const string Tokens = "splitfrozen.tokens";

    /// <summary>Attribute: blocks that the device has applied.</summary>
    public const string Cut = "splitfrozen.cut";

    /// <summary>Attribute: number of an optimiser step, from 0.</summary>
    public const string Step = "splitfrozen.step";

    /// <summary>Attribute: position of a step message among all of the run, from 0.</summary>
    public const string Sequence = "splitfrozen.sequence";

    /// <summary>Attribute: epoch, from 0.</summary>
    public const string Epoch = "splitfrozen.epoch";

    /// <summary>Attribute: <c>train</c> or <c>evaluate</c>.</summary>
    public const string StepKind = "splitfrozen.step.kind";

    /// <summary>Attribute: true where a step message is published once more.</summary>
    public const string Repeated = "splitfrozen.step.repeated";

    /// <summary>Attribute: number of activation batches that a step took its samples from, as far as they are remembered.</summary>
    public const string Batches = "splitfrozen.batches";

    /// <summary>Attribute: number of a micro-batch within its step, from 0.</summary>
    public const string MicroBatch = "splitfrozen.micro_batch";

    /// <summary>Attribute: what a leader asks of a stage.</summary>
    public const string Command = "splitfrozen.stage.command";

    /// <summary>Attribute: the stage of the trained blocks, from 0.</summary>
    public const string Stage = "splitfrozen.stage";

    /// <summary>Attribute: the step's mean loss.</summary>
    public const string Loss = "splitfrozen.loss";

    /// <summary>Attribute: samples of a step that were gone from the cache.</summary>
    public const string Missing = "splitfrozen.missing_samples";

    /// <summary>Attribute: seconds that the trainer waited for the step's data.</summary>
    public const string WaitSeconds = "splitfrozen.wait_seconds";

    /// <summary>Attribute of a refused message: why, one of a few words.</summary>
    public const string RefusalReason = "splitfrozen.refusal.reason";

    /// <summary>Attribute of a publish: <c>confirmed</c> or <c>queue_full</c>.</summary>
    public const string PublishOutcome = "splitfrozen.publish.outcome";

    /// <summary>Attribute of a look into the cache: <c>check</c> or <c>fetch</c>.</summary>
    public const string CacheOperation = "splitfrozen.cache.operation";

    /// <summary>Attribute by OpenTelemetry's conventions: the kind of failure of an operation.</summary>
    public const string ErrorType = "error.type";
}
