namespace SplitFrozen.Cli;

/// <summary>The user's input is wrong. Each fault is one line that names what, where and what to do.</summary>
internal sealed class InputException : Exception
{
    public InputException(string fault)
        : this([fault])
    {
    }

    public InputException(IReadOnlyList<string> faults)
        : base(string.Join(Environment.NewLine, faults)) => Faults = faults;

    public InputException(string fault, Exception inner)
        : base(fault, inner) => Faults = [fault];

    /// <summary>All faults found, at least one.</summary>
    public IReadOnlyList<string> Faults { get; }
}

/// <summary>The run could not reach its end although its input was good.</summary>
internal sealed class RunFailedException(string message, Exception? inner = null) : Exception(message, inner);
