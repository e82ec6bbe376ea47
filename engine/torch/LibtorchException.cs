namespace SplitFrozen.Torch;

/// <summary>The native tensor library is missing or does not load; the message says where it was sought and what to do.</summary>
public sealed class LibtorchException : Exception
{
    /// <summary>Makes the exception from a finished sentence.</summary>
    public LibtorchException(string message)
        : base(message)
    {
    }

    /// <summary>Makes the exception from a finished sentence and what the system's loader said.</summary>
    public LibtorchException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
