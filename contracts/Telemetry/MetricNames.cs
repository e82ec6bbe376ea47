namespace SplitFrozen.Contracts.Telemetry;

/// <summary>Names of metrics; units stand with the instruments.</summary>
public static class MetricNames
{
    /// <summary>Seconds of frozen forward on devices, a histogram over batches.</summary>
    public const string DeviceForward = "splitfrozen.device.forward.duration";

    /// <summary>Samples that devices have sent.</summary>
    public const string DeviceSamples = "splitfrozen.device.samples";

    /// <summary>Duration of a publish, by OpenTelemetry's messaging conventions.</summary>
    public const string PublishDuration = "messaging.client.operation.duration";

    /// <summary>Bytes in the queues of one process' own transport.</summary>
    public const string QueueBytes = "splitfrozen.queue.bytes";

    /// <summary>Messages that were refused.</summary>
    public const string Refused = "splitfrozen.messages.refused";

    /// <summary>Samples that the coordinator has taken in.</summary>
    public const string IntakeSamples = "splitfrozen.intake.samples";

    /// <summary>Bytes of message bodies that the coordinator has taken in.</summary>
    public const string IntakeBytes = "splitfrozen.intake.bytes";

    /// <summary>Bytes of message bodies in the coordinator's hands.</summary>
    public const string IntakeBytesInFlight = "splitfrozen.intake.bytes_in_flight";

    /// <summary>Step messages composed.</summary>
    public const string StepsComposed = "splitfrozen.steps.composed";

    /// <summary>Entries that were in the cache when they were looked for.</summary>
    public const string CacheHits = "splitfrozen.cache.hits";

    /// <summary>Entries that were not in the cache when they were looked for.</summary>
    public const string CacheMisses = "splitfrozen.cache.misses";

    /// <summary>Bytes of entries written to the cache.</summary>
    public const string CacheStored = "splitfrozen.cache.stored";

    /// <summary>Seconds that the trainer had nothing to compute: its starvation.</summary>
    public const string TrainerWait = "splitfrozen.trainer.wait.time";

    /// <summary>Seconds that the trainer computed steps.</summary>
    public const string TrainerCompute = "splitfrozen.trainer.compute.time";

    /// <summary>Optimiser steps applied.</summary>
    public const string TrainerSteps = "splitfrozen.trainer.steps";

    /// <summary>Samples trained on, by client.</summary>
    public const string TrainerSamples = "splitfrozen.trainer.samples";

    /// <summary>Tokens trained on.</summary>
    public const string TrainerTokens = "splitfrozen.trainer.tokens";

    /// <summary>Loss of the last step.</summary>
    public const string TrainerLoss = "splitfrozen.trainer.loss";

    /// <summary>Seconds that a checkpoint took.</summary>
    public const string CheckpointDuration = "splitfrozen.trainer.checkpoint.duration";
}
