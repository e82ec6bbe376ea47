namespace SplitFrozen.Contracts.Telemetry;

/// <summary>Names of spans. Those of messages follow OpenTelemetry's messaging conventions and are made where the queue is known.</summary>
public static class SpanNames
{
    /// <summary>Device, root: one activation batch from the forward of its first sample to the broker's confirmation.</summary>
    public const string ActivationBatch = "activation batch";

    /// <summary>Device: the frozen blocks' forward for the samples of one batch.</summary>
    public const string DeviceForward = "frozen forward";

    /// <summary>Coordinator: everything that a body is checked for.</summary>
    public const string Validate = "validate activations";

    /// <summary>Coordinator: entries into the cache, and samples into the ledger.</summary>
    public const string Cache = "cache activations";

    /// <summary>Coordinator, root: a step from its composition to the broker's confirmation; linked to the batches that its samples came in.</summary>
    public const string ComposeStep = "compose step";

    /// <summary>Trainer: a step's activations out of the cache, and decoded.</summary>
    public const string Fetch = "fetch activations";

    /// <summary>Trainer: one part of an evaluation.</summary>
    public const string Evaluate = "evaluate";

    /// <summary>Trainer: adapter, moments and position to the disk.</summary>
    public const string Checkpoint = "checkpoint";

    /// <summary>Engine: one optimiser step with all its micro-batches.</summary>
    public const string TrainStep = "train step";

    /// <summary>Engine: forward of one micro-batch, catch-up included.</summary>
    public const string Forward = "forward";

    /// <summary>Engine: input-gradient pass (B) of one micro-batch.</summary>
    public const string BackwardInput = "backward input";

    /// <summary>Engine: LoRA-weight-gradient pass (W) of one micro-batch.</summary>
    public const string BackwardWeight = "backward weight";

    /// <summary>Engine: waits for a micro-batch's hidden states from the stage before, or hands them to the stage behind.</summary>
    public const string TransferActivation = "transfer activations";

    /// <summary>Engine: waits for a micro-batch's gradient from the stage behind, or hands it to the stage before.</summary>
    public const string TransferGradient = "transfer gradient";

    /// <summary>Trainer that is a stage beside the leader: one command of the leader, such as its part of a step.</summary>
    public const string StageCommand = "stage command";

    /// <summary>Engine: clipping and the optimiser's update.</summary>
    public const string OptimizerStep = "optimizer step";
}
