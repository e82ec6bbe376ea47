namespace SplitFrozen.Comparison.Fleet.Simulation;

/// <summary>What a resource does for a while.</summary>
public enum ActivityKind
{
    /// <summary>A device's forward pass.</summary>
    DeviceForward,

    /// <summary>A device's backward pass, B and W.</summary>
    DeviceBackward,

    /// <summary>A device's uplink sends.</summary>
    Upload,

    /// <summary>The server's shared link and intake take a message in.</summary>
    Receive,

    /// <summary>The server's forward pass, catch-up included.</summary>
    ServerForward,

    /// <summary>B on the server: input gradients.</summary>
    ServerBackwardInput,

    /// <summary>W on the server: weight gradients.</summary>
    ServerBackwardWeight,

    /// <summary>What a step costs beyond its passes.</summary>
    ServerStep,

    /// <summary>The server's shared link sends.</summary>
    Send,

    /// <summary>A device's downlink receives.</summary>
    Download,
}

/// <summary>One bar of a timeline.</summary>
/// <param name="Resource">What was busy: <c>device-3</c>, <c>device-3 uplink</c>, <c>device-3 downlink</c>, <c>server</c> (or <c>server stage 2</c>), <c>server in</c>, <c>server out</c>.</param>
/// <param name="Kind">With what.</param>
/// <param name="Client">For which client, from 0; −1 where it is for all.</param>
/// <param name="Step">For which optimiser step, local step or round, from 0.</param>
/// <param name="Start">Seconds from the run's beginning.</param>
/// <param name="End">Seconds from the run's beginning.</param>
public readonly record struct Activity(string Resource, ActivityKind Kind, int Client, int Step, double Start, double End)
{
    /// <summary>Length in seconds.</summary>
    public double Seconds => End - Start;
}
