namespace SplitFrozen.Training.Checkpoints;

/// <summary>A checkpoint cannot be used; the message names the file, what is wrong and what to do.</summary>
public sealed class CheckpointException : Exception
{
    /// <summary>Names the fault.</summary>
    /// <param name="file">The checkpoint, or the folder of checkpoints.</param>
    /// <param name="fault">What is wrong and what to do, as a sentence.</param>
    /// <param name="inner">The cause, if another exception showed it.</param>
    public CheckpointException(string file, string fault, Exception? inner = null)
        : base($"{file}: {fault}", inner) => File = file;

    /// <summary>The checkpoint, or the folder of checkpoints.</summary>
    public string File { get; }
}
