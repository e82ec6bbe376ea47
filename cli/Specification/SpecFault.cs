namespace SplitFrozen.Cli.Specification;

/// <summary>One fault of a run spec.</summary>
/// <param name="Path">YAML path, for example <c>training.batch_size</c>; empty for the file as a whole.</param>
/// <param name="Origin">Where the value stands: <c>file:line</c> or the <c>--set</c> argument.</param>
/// <param name="Message">What is wrong and what is expected.</param>
internal sealed record SpecFault(string Path, string Origin, string Message)
{
    /// <inheritdoc/>
    public override string ToString() => Path.Length == 0 ? $"{Origin}: {Message}" : $"{Origin}: {Path}: {Message}";
}
