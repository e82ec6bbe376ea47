namespace SplitFrozen.Contracts.Telemetry;

/// <summary>Names of activity sources, meters and attributes, the same in every service.</summary>
public static class TelemetryNames
{
    /// <summary>Activity source and meter of the device worker.</summary>
    public const string DeviceWorker = "SplitFrozen.DeviceWorker";

    /// <summary>Activity source and meter of the coordinator.</summary>
    public const string Coordinator = "SplitFrozen.Coordinator";

    /// <summary>Activity source and meter of the trainer.</summary>
    public const string Trainer = "SplitFrozen.Trainer";

    /// <summary>Matches all activity sources and meters above.</summary>
    public const string All = "SplitFrozen.*";

    /// <summary>Attribute: the run's id.</summary>
    public const string Run = "splitfrozen.run";

    /// <summary>Attribute: the client's id.</summary>
    public const string Client = "splitfrozen.client";

    /// <summary>Attribute: number of samples.</summary>
    public const string Samples = "splitfrozen.samples";

    /// <summary>Attribute: number of an optimiser step, from 0.</summary>
    public const string Step = "splitfrozen.step";
}
