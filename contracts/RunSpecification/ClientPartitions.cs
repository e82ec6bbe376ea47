namespace SplitFrozen.Contracts.RunSpecification;

/// <summary>The values of <c>clients.partition</c>.</summary>
public static class ClientPartitions
{
    /// <summary>A random deal in equal parts.</summary>
    public const string Iid = "iid";

    /// <summary>Each class by shares drawn from a Dirichlet distribution.</summary>
    public const string Dirichlet = "dirichlet";

    /// <summary>A few classes to each client.</summary>
    public const string Classes = "classes";

    /// <summary>A random deal in parts that follow Zipf's law.</summary>
    public const string Zipf = "zipf";

    /// <summary>Nothing is dealt: every device worker with data of its own is a client.</summary>
    public const string Devices = "devices";

    /// <summary>The partitions that deal the rows of <c>task.train</c> to simulated clients.</summary>
    public static IReadOnlyList<string> Simulated { get; } = [Iid, Dirichlet, Classes, Zipf];

    /// <summary>All values, in the order of the documentation.</summary>
    public static IReadOnlyList<string> All { get; } = [.. Simulated, Devices];
}
