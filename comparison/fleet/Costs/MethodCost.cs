namespace SplitFrozen.Comparison.Fleet.Costs;

/// <summary>The ways of fine-tuning over devices that are compared.</summary>
public enum FineTuningMethod
{
    /// <summary>FedLoRA: every client trains the whole model's adapters; they are averaged every round.</summary>
    FedLora,

    /// <summary>SplitLoRA: client and server train together over a cut; gradients come back; client adapters are averaged.</summary>
    SplitLora,

    /// <summary>SplitFrozen as in the paper: frozen forward on the device in every epoch, nothing comes back.</summary>
    SplitFrozen,

    /// <summary>SplitFrozen with this system's activation cache: a device computes each sample once.</summary>
    SplitFrozenCached,

    /// <summary>LoRA where all data is in one place: no device takes part after it has sent its raw data.</summary>
    Centralised,
}

/// <summary>What a run costs one client and its device.</summary>
/// <param name="ForwardFlops">Useful operations of forward passes.</param>
/// <param name="BackwardFlops">Useful operations of B and W.</param>
/// <param name="UpBytes">Sent to the server.</param>
/// <param name="DownBytes">Received from it, the base model left out: every method needs it once.</param>
/// <param name="PeakMemory">What the device holds at its peak.</param>
public sealed record ClientCost(long ForwardFlops, long BackwardFlops, long UpBytes, long DownBytes, DeviceMemory PeakMemory)
{
    /// <summary>All operations.</summary>
    public long Flops => ForwardFlops + BackwardFlops;
}

/// <summary>What a run costs by one method. Evaluation on held-out data is left out: it is the same for all.</summary>
/// <param name="Method">The method.</param>
/// <param name="Clients">Costs by client.</param>
/// <param name="ServerFlops">Useful operations of the server, catch-up included.</param>
public sealed record MethodCost(FineTuningMethod Method, IReadOnlyList<ClientCost> Clients, long ServerFlops)
{
    /// <summary>Operations of all devices.</summary>
    public long DeviceFlops => Clients.Sum(client => client.Flops);

    /// <summary>Bytes that all devices send.</summary>
    public long UpBytes => Clients.Sum(client => client.UpBytes);

    /// <summary>Bytes that all devices receive.</summary>
    public long DownBytes => Clients.Sum(client => client.DownBytes);

    /// <summary>Largest peak memory of a device.</summary>
    public long PeakDeviceMemory => Clients.Max(client => client.PeakMemory.Total);
}
