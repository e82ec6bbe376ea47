using System.Security.Cryptography;
using System.Text.Json;
using SplitFrozen.Comparison.Methods;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Comparison.Study;

/// <summary>One training of a study.</summary>
/// <param name="Task">The task.</param>
/// <param name="Method">The method.</param>
/// <param name="Partition">How the data is dealt; null where nobody deals it.</param>
/// <param name="Seed">Seed of everything random.</param>
/// <param name="LearningRate">Peak learning rate.</param>
/// <param name="IsSearch">Whether it only serves to choose the learning rate.</param>
public sealed record Cell(StudyTask Task, MethodKind Method, PartitionChoice? Partition, long Seed, double LearningRate, bool IsSearch)
{
    /// <summary>The data that it trains and measures on.</summary>
    public TaskSlice Slice => IsSearch ? Task.Search : Task.Full;

    /// <summary>The run spec of the cell.</summary>
    public RunSpec Spec => Task.Spec with
    {
        Seed = Seed,
        Clients = Partition?.Apply(Task.Spec.Clients) ?? new ClientsSpec(),
        Training = Task.Spec.Training with { LearningRate = LearningRate },
    };

    /// <summary>What tells the cell apart for a reader.</summary>
    public CellLabel Label => new(Task.Spec.Name, Method.Name(), Partition?.Text, Seed, LearningRate, IsSearch);

    /// <summary>Everything that decides the cell's result.</summary>
    /// <param name="options">Settings of the methods.</param>
    public CellIdentity Identity(StudyOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var spec = Spec;
        return new CellIdentity(
            CellIdentity.CurrentVersion, Task.Model.Fingerprint, Slice.Digest, Method.Name(), Method.HasClients() ? spec.Clients : null, Seed, spec.Model.Boundary,
            spec.Lora, spec.Device.WireType, spec.Training with { Threads = 1, CheckpointEverySteps = 1, Order = "planned" },
            Method == MethodKind.SplitLora ? options.AveragingInterval : null,
            Method is MethodKind.FedLora or MethodKind.FedLoraStacking ? options.LocalEpochs : null);
    }
}

/// <summary>What tells a cell apart for a reader.</summary>
/// <param name="Task">Name of the run spec.</param>
/// <param name="Method">Name of the method.</param>
/// <param name="Partition">The partition as written on the command line; null where nobody deals the data.</param>
/// <param name="Seed">Seed.</param>
/// <param name="LearningRate">Peak learning rate.</param>
/// <param name="IsSearch">Whether it only served to choose the learning rate.</param>
public sealed record CellLabel(string Task, string Method, string? Partition, long Seed, double LearningRate, bool IsSearch);

/// <summary>Everything that decides a cell's result; its hash names the cell's file.</summary>
/// <param name="Version">Version of the methods; raised when one trains otherwise than before.</param>
/// <param name="Model">Fingerprint of the base model.</param>
/// <param name="Data">Digest of the samples.</param>
/// <param name="Method">Name of the method.</param>
/// <param name="Clients">Number of clients, partition and cuts; null for pooled data.</param>
/// <param name="Seed">Seed.</param>
/// <param name="Boundary">Frozen boundary, and SplitLoRA's cut.</param>
/// <param name="Lora">The adapters.</param>
/// <param name="WireType">How activations travel.</param>
/// <param name="Training">Epochs, batch size, optimiser, schedule.</param>
/// <param name="AveragingInterval">SplitLoRA: server steps between two averagings.</param>
/// <param name="LocalEpochs">FedLoRA: epochs between two aggregations.</param>
public sealed record CellIdentity(
    int Version, string Model, string Data, string Method, ClientsSpec? Clients, long Seed, int Boundary, LoraSpec Lora, WireType WireType, TrainingSpec Training,
    int? AveragingInterval, int? LocalEpochs)
{
    /// <summary>Version of the methods as they are.</summary>
    public const int CurrentVersion = 2;

    /// <summary>Hash over the identity, 32 hexadecimal digits.</summary>
    public string Hash() => Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(this, StudyJson.Default.CellIdentity)))[..32];
}

/// <summary>A client of a cell: all that a cost model needs to know of it.</summary>
/// <param name="Cut">Blocks that its device runs in split methods.</param>
/// <param name="Lengths">Tokens of each of its training samples.</param>
/// <param name="Work">What its device computed and exchanged.</param>
public sealed record ClientRecord(int Cut, int[] Lengths, WorkCount Work);

/// <summary>What a cell reached and took. One file holds one of them.</summary>
public sealed record CellResult
{
    /// <summary>What tells the cell apart for a reader.</summary>
    public required CellLabel Label { get; init; }

    /// <summary>Everything that decided the result.</summary>
    public required CellIdentity Identity { get; init; }

    /// <summary>Before training and after each epoch; empty if it failed.</summary>
    public IReadOnlyList<EpochResult> Epochs { get; init; } = [];

    /// <summary>Why it failed, for example because it diverged; null if it did not.</summary>
    public string? Error { get; init; }

    /// <summary>Wall time in seconds on one thread, evaluation included; activations that another cell computed are not in it.</summary>
    public double Seconds { get; init; }

    /// <summary>Number of trained values, over all parties' parts of one model.</summary>
    public long TrainedParameters { get; init; }

    /// <summary>Of those, values in blocks below the boundary.</summary>
    public long TrainedParametersBelowBoundary { get; init; }

    /// <summary>Hash over names and bits of all trained tensors: equal only if the adapters are the same.</summary>
    public string TrainedDigest { get; init; } = "";

    /// <summary>The clients; empty for pooled data.</summary>
    public IReadOnlyList<ClientRecord> Clients { get; init; } = [];

    /// <summary>Work of the server, or of the one machine that has everything.</summary>
    public WorkCount Server { get; init; } = new();

    /// <summary>A metric after the last epoch; null if the cell failed or does not have it.</summary>
    public double? Final(string metric) => Epochs is [.., var last] && last.Metrics.TryGetValue(metric, out var value) ? value : null;
}
