namespace SplitFrozen.Training.Export;

/// <summary>An adapter cannot be used; the message names the file, the field or tensor in it and what to do.</summary>
public sealed class AdapterException : Exception
{
    /// <summary>Names the fault.</summary>
    /// <param name="file">The adapter's file or folder.</param>
    /// <param name="fault">What is wrong and what to do, as a sentence.</param>
    /// <param name="inner">The cause, if another exception showed it.</param>
    public AdapterException(string file, string fault, Exception? inner = null)
        : base($"{file}: {fault}", inner) => File = file;

    /// <summary>The adapter's file or folder.</summary>
    public string File { get; }
}
