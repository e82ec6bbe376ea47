namespace SplitFrozen.Comparison.Study;

/// <summary>A method of a study.</summary>
public enum MethodKind
{
    /// <summary>Frozen lower blocks on the devices, LoRA in the upper blocks on the server.</summary>
    SplitFrozen,

    /// <summary>FedAvg of LoRA in all blocks; A and B averaged by themselves.</summary>
    FedLora,

    /// <summary>FedAvg of LoRA in all blocks; products averaged exactly, by stacking.</summary>
    FedLoraStacking,

    /// <summary>Split learning with LoRA in both parts.</summary>
    SplitLora,

    /// <summary>Pooled data, LoRA in the blocks that SplitFrozen trains.</summary>
    Centralised,

    /// <summary>Pooled data, LoRA in all blocks.</summary>
    CentralisedAllBlocks,
}

/// <summary>Names of methods on the command line, in files and in reports.</summary>
public static class MethodNames
{
    private static readonly (MethodKind Kind, string Name, string Title)[] s_all =
    [
        (MethodKind.SplitFrozen, "splitfrozen", "SplitFrozen"),
        (MethodKind.FedLora, "fedlora", "FedLoRA"),
        (MethodKind.FedLoraStacking, "fedlora-stacking", "FedLoRA, stacking"),
        (MethodKind.SplitLora, "splitlora", "SplitLoRA"),
        (MethodKind.Centralised, "centralised", "centralised, same blocks"),
        (MethodKind.CentralisedAllBlocks, "centralised-all", "centralised, all blocks"),
    ];

    /// <summary>All names.</summary>
    public static IReadOnlyList<string> All => [.. s_all.Select(entry => entry.Name)];

    /// <summary>Name as written on the command line.</summary>
    public static string Name(this MethodKind kind) => s_all[(int)kind].Name;

    /// <summary>Name as written in a report.</summary>
    public static string Title(this MethodKind kind) => s_all[(int)kind].Title;

    /// <summary>Whether it matters to the method who holds the data.</summary>
    public static bool HasClients(this MethodKind kind) => kind is not (MethodKind.Centralised or MethodKind.CentralisedAllBlocks);

    /// <summary>The method of a name, or false.</summary>
    public static bool TryParse(string name, out MethodKind kind)
    {
        var index = Array.FindIndex(s_all, entry => entry.Name == name);
        kind = index < 0 ? default : s_all[index].Kind;
        return index >= 0;
    }
}
