namespace SplitFrozen.TestServers;

/// <summary>Which processes a cluster has, and how they are set.</summary>
public sealed record ClusterOptions
{
    /// <summary>Number of device workers, <c>device-1</c> on.</summary>
    public int Devices { get; init; }

    /// <summary>Training files of the first devices' own; the others hold none.</summary>
    public IReadOnlyList<string> OwnData { get; init; } = [];

    /// <summary>Whether there is a trainer.</summary>
    public bool Trainer { get; init; } = true;

    /// <summary>Stages that share the trained blocks, each a trainer of its own.</summary>
    public int Stages { get; init; } = 1;

    /// <summary>Copies of the stages.</summary>
    public int Replicas { get; init; } = 1;

    /// <summary>A broker that others use too, in which the cluster gets a virtual host; null starts one for the cluster alone, which may be stopped.</summary>
    public RabbitMqServer? SharedBroker { get; init; }

    /// <summary>When Redis forces its append-only file to the disk: <c>always</c>, <c>everysec</c> or <c>no</c>; null for no file.</summary>
    public string? AppendFsync { get; init; } = "always";

    /// <summary>Whether all services reach broker and cache through <see cref="Cluster.BrokerProxy"/> and <see cref="Cluster.RedisProxy"/>.</summary>
    public bool Proxied { get; init; }

    /// <summary>
    /// Whether broker and cache take connections over TLS alone, and the devices with data of their own are enrolled: each has a login of its own,
    /// and neither the cluster's nor a way to the cache.
    /// </summary>
    public bool Secured { get; init; }

    /// <summary>More settings for every service, as environment variables.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();

    /// <summary>Folders with programs, by project, that take the place of those that were built beside the tests.</summary>
    public IReadOnlyDictionary<string, string> ProgramFolders { get; init; } = new Dictionary<string, string>();

    /// <summary>Token that this test's own requests and commands carry; the coordinator's are in <see cref="Settings"/>.</summary>
    public string? Token { get; init; }

    /// <summary>Least severe messages in the services' logs.</summary>
    public string LogLevel { get; init; } = "Information";
}
