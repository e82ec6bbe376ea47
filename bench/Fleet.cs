using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Bench;

/// <summary>Devices that are played, and how many rows each client of a run holds.</summary>
/// <param name="Devices">Names of the device workers.</param>
/// <param name="RowsOf">Rows of every client.</param>
internal sealed record Fleet(IReadOnlyList<string> Devices, IReadOnlyList<int> RowsOf)
{
    private readonly int[] _starts = Starts(RowsOf);

    /// <summary>One device worker that serves all clients.</summary>
    public static Fleet OnOneDevice(int clients, int rowsPerClient) => new(["bench"], [.. Enumerable.Repeat(rowsPerClient, clients)]);

    /// <summary>A device worker for every client.</summary>
    public static Fleet DeviceEach(IEnumerable<int> rows)
    {
        int[] all = [.. rows];
        return new([.. Enumerable.Range(1, all.Length).Select(device => $"bench-{device}")], all);
    }

    /// <summary>Names of the clients.</summary>
    public string[] Clients => [.. Enumerable.Range(0, RowsOf.Count).Select(ClientNames.Of)];

    /// <summary>Rows of a client, one after another.</summary>
    public IEnumerable<int> Rows(int client) => Enumerable.Range(_starts[client], RowsOf[client]);

    private static int[] Starts(IReadOnlyList<int> rows)
    {
        var starts = new int[rows.Count];
        for (var client = 1; client < starts.Length; client++)
        {
            starts[client] = starts[client - 1] + rows[client - 1];
        }

        return starts;
    }
}
