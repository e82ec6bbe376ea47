using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.RunSpecification;

/// <summary>Everything that decides a run. Same spec, same data, same bits. Property names are the YAML keys in snake case.</summary>
public sealed record RunSpec
{
    /// <summary>Name of the run; letters, digits, '-' and '_'. Names the run folder.</summary>
    public string Name { get; init; } = "";

    /// <summary>Seed of everything random: partition, plan, LoRA's A, head, dropout.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>The base model and where it is cut.</summary>
    public ModelSpec Model { get; init; } = new();

    /// <summary>The adapter.</summary>
    public LoraSpec Lora { get; init; } = new();

    /// <summary>The task and its data.</summary>
    public TaskSpec Task { get; init; } = new();

    /// <summary>The clients that hold the training data.</summary>
    public ClientsSpec Clients { get; init; } = new();

    /// <summary>What device workers do.</summary>
    public DeviceSpec Device { get; init; } = new();

    /// <summary>The optimisation.</summary>
    public TrainingSpec Training { get; init; } = new();

    /// <summary>The activation cache.</summary>
    public CacheSpec Cache { get; init; } = new();
}

/// <summary>The base model and where it is cut.</summary>
public sealed record ModelSpec
{
    /// <summary>Folder in Hugging Face layout; relative to the spec file.</summary>
    public string Path { get; init; } = "";

    /// <summary>Frozen boundary <c>F</c>, <c>0 ≤ F &lt; L</c>: blocks <c>[0,F)</c> and the embeddings never train.</summary>
    public int Boundary { get; init; }
}

/// <summary>LoRA with PEFT's meaning: <c>y = W x + (alpha / rank) B A x</c>.</summary>
public sealed record LoraSpec
{
    /// <summary>Rank r, at least 1.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>Alpha; the scale is alpha / rank, or alpha / sqrt(rank) when <see cref="RankStabilized"/>.</summary>
    public double Alpha { get; init; } = 16;

    /// <summary>Dropout on the adapter's input, in [0, 1).</summary>
    public double Dropout { get; init; }

    /// <summary>Names of the adapted linear layers, for example <c>c_attn</c> or <c>q_proj</c>.</summary>
    public IReadOnlyList<string> Targets { get; init; } = [];

    /// <summary>rsLoRA (arXiv 2312.03732).</summary>
    public bool RankStabilized { get; init; }
}

/// <summary>The task, by kind, and its data files.</summary>
public sealed record TaskSpec
{
    /// <summary><c>sst2</c>, <c>mrpc</c>, <c>mnli</c>, <c>gsm8k</c>, <c>classification</c> or <c>instruction</c>.</summary>
    public string Kind { get; init; } = "";

    /// <summary>
    /// Training file, <c>.tsv</c>, <c>.csv</c> or <c>.jsonl</c>; relative to the spec file. Left out where devices hold data of their own
    /// (<c>clients.partition: devices</c>).
    /// </summary>
    public string Train { get; init; } = "";

    /// <summary>Held-out file, <c>.tsv</c>, <c>.csv</c> or <c>.jsonl</c>; relative to the spec file.</summary>
    public string Evaluation { get; init; } = "";

    /// <summary>Longest sample in tokens; longer ones are cut (classification) or left out with a count (language modelling).</summary>
    public int MaxLength { get; init; } = 128;

    /// <summary>Use only the first n training rows; null uses all. Not for devices with data of their own.</summary>
    public int? TrainLimit { get; init; }

    /// <summary>Use only the first n held-out rows; null uses all.</summary>
    public int? EvaluationLimit { get; init; }

    /// <summary>Generic tasks: columns that hold the text; two are joined as a pair. Default <c>[text]</c>.</summary>
    public IReadOnlyList<string> TextColumns { get; init; } = [];

    /// <summary>Generic tasks: the label column (classification, default <c>label</c>) or the answer column (instruction, default <c>answer</c>).</summary>
    public string? TargetColumn { get; init; }

    /// <summary>
    /// Generic classification: the class names in order; empty takes the sorted set found in the training file. Needed where devices hold data of
    /// their own.
    /// </summary>
    public IReadOnlyList<string> Classes { get; init; } = [];

    /// <summary>Generic instruction: template with <c>{column}</c> fields that makes the prompt; without one, each text column stands on a line.</summary>
    public string? PromptTemplate { get; init; }

    /// <summary>Language modelling: how many held-out rows to answer by greedy generation after training; 0 for none.</summary>
    public int GenerateSamples { get; init; }

    /// <summary>Language modelling: longest generated answer in tokens.</summary>
    public int GenerateTokens { get; init; } = 128;
}

/// <summary>The clients: how many, and how the training rows are dealt to simulated ones.</summary>
public sealed record ClientsSpec
{
    /// <summary>Number of clients, at least 1. For <c>devices</c>, so many device workers with data of their own must be there before the run is planned.</summary>
    public int Count { get; init; } = 1;

    /// <summary>
    /// <c>iid</c>, <c>dirichlet</c>, <c>classes</c> or <c>zipf</c> deal the rows of <c>task.train</c> to simulated clients; with <c>devices</c> every
    /// device worker with data of its own is a client, named after the device.
    /// </summary>
    public string Partition { get; init; } = ClientPartitions.Iid;

    /// <summary>Dirichlet concentration, greater than 0; small is uneven.</summary>
    public double Alpha { get; init; } = 0.5;

    /// <summary>Classes per client for <c>classes</c>.</summary>
    public int ClassesPerClient { get; init; } = 1;

    /// <summary>Exponent for <c>zipf</c>, greater than 0: client k gets a share proportional to <c>1 / k^s</c>.</summary>
    public double Exponent { get; init; } = 1.0;

    /// <summary>
    /// What to do about samples that never arrive, because their device is gone, holds other data now, or sends what is refused:
    /// <c>stop</c> the run with a checkpoint, or <c>complete</c> it without them.
    /// </summary>
    public string Missing { get; init; } = "stop";

    /// <summary>
    /// Cut of each client, cycled when shorter than the count; empty means every client cuts at the boundary. For <c>devices</c> one cut at most, that of all.
    /// </summary>
    public IReadOnlyList<int> Cuts { get; init; } = [];
}

/// <summary>What device workers do.</summary>
public sealed record DeviceSpec
{
    /// <summary>Samples per forward. More are faster; the activations are the same bits.</summary>
    public int MicroBatch { get; init; } = 16;

    /// <summary>How activations travel and are cached: <c>f32</c>, <c>f16</c>, <c>bf16</c> or <c>int8</c>.</summary>
    public WireType WireType { get; init; } = WireType.Float16;

    /// <summary>
    /// Weights of the frozen blocks, on devices and server alike: <c>f32</c>, or <c>int8</c>, which takes a quarter of the memory and is faster. The
    /// adapter then belongs to the int8 blocks.
    /// </summary>
    public string Weights { get; init; } = "f32";

    /// <summary>A message is closed before it grows beyond this many bytes.</summary>
    public int MessageBytes { get; init; } = 1 << 20;

    /// <summary>Threads for the device workers' tensor work.</summary>
    public int Threads { get; init; } = 1;
}

/// <summary>The optimisation.</summary>
public sealed record TrainingSpec
{
    /// <summary>Epochs, at least 1.</summary>
    public int Epochs { get; init; } = 1;

    /// <summary>Samples per optimiser step.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>Samples per forward and backward; gradients of a step are accumulated over its micro-batches. 0 means the batch size.</summary>
    public int MicroBatch { get; init; }

    /// <summary><c>planned</c> (order fixed by the seed) or <c>available</c> (never waits for a slow device).</summary>
    public string Order { get; init; } = "planned";

    /// <summary>Peak learning rate, greater than 0.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary><c>constant</c>, <c>linear</c> or <c>cosine</c> decay after the warm-up.</summary>
    public string Schedule { get; init; } = "linear";

    /// <summary>Share of all steps spent warming up, in [0, 1).</summary>
    public double WarmupRatio { get; init; } = 0.06;

    /// <summary>AdamW's decoupled weight decay.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>AdamW's first-moment decay.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>AdamW's second-moment decay.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>AdamW's epsilon.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Gradients are scaled down to this norm; 0 turns clipping off.</summary>
    public double MaxGradientNorm { get; init; } = 1.0;

    /// <summary>A checkpoint every n optimiser steps, and always at an epoch's end.</summary>
    public int CheckpointEverySteps { get; init; } = 200;

    /// <summary>Threads for the trainer's tensor work, for each stage.</summary>
    public int Threads { get; init; } = 1;

    /// <summary>
    /// Stages that the trained blocks are cut into, each on a compute thread of its own; the adapter is the same bits. Needs micro-batches
    /// to pay. Where trainers were started with <c>--stage</c>, their number counts.
    /// </summary>
    public int Stages { get; init; } = 1;

    /// <summary>First block of every stage but the first, ascending; empty cuts so that the stages take the same time, as measured at the start.</summary>
    public IReadOnlyList<int> StageBoundaries { get; init; } = [];

    /// <summary>How the stages take turns: <c>gpipe</c>, <c>1f1b</c> or <c>zb</c> (zero-bubble, ZB-H1). The adapter is the same bits.</summary>
    public string Pipeline { get; init; } = "zb";

    /// <summary>
    /// Copies of the stages that share a step's micro-batches; their gradients are summed in a fixed order, so the adapter is the same bits for the same
    /// number of copies. Where trainers were started with <c>--replica</c>, their number counts.
    /// </summary>
    public int Replicas { get; init; } = 1;
}

/// <summary>The activation cache.</summary>
public sealed record CacheSpec
{
    /// <summary>Folder of the embedded cache, shared by runs; relative to the working folder.</summary>
    public string Directory { get; init; } = ".splitfrozen/cache";

    /// <summary>Most bytes kept.</summary>
    public long MaxBytes { get; init; } = 8L << 30;
}
