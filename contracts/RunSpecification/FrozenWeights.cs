namespace SplitFrozen.Contracts.RunSpecification;

/// <summary>
/// How the weights of the frozen blocks' linear layers are held. It decides the model: blocks of int8 weights compute other hidden states, so the
/// model fingerprint differs, wherever the blocks run.
/// </summary>
public enum FrozenWeights
{
    /// <summary>32-bit float.</summary>
    Float32,

    /// <summary>8-bit integers with one float32 scale for each output: a quarter of the memory.</summary>
    Int8,
}

/// <summary>The values of <c>device.weights</c>.</summary>
public static class FrozenWeightNames
{
    /// <summary>All values, in the order of the documentation.</summary>
    public static IReadOnlyList<string> All { get; } = [.. Enum.GetValues<FrozenWeights>().Select(Name)];

    /// <summary>The name used in specs and adapters: <c>f32</c> or <c>int8</c>.</summary>
    public static string Name(this FrozenWeights weights) => weights switch
    {
        FrozenWeights.Float32 => "f32",
        FrozenWeights.Int8 => "int8",
        _ => throw new ArgumentOutOfRangeException(nameof(weights), weights, "Not a kind of frozen weights."),
    };

    /// <summary>The kind that a spec's <c>device.weights</c> names.</summary>
    /// <exception cref="ArgumentException">There is no such kind.</exception>
    public static FrozenWeights WeightKind(this DeviceSpec device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return Find(device.Weights) ?? throw new ArgumentException($"device.weights is \"{device.Weights}\"; it must be one of {string.Join(", ", All)}.", nameof(device));
    }

    /// <summary>The kind of a name; null where there is none of it.</summary>
    public static FrozenWeights? Find(string name) =>
        Enum.GetValues<FrozenWeights>().Cast<FrozenWeights?>().FirstOrDefault(weights => weights!.Value.Name() == name);
}
