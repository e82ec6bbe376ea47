namespace SplitFrozen.Training.Pretraining;

/// <summary>Pretraining cannot begin or go on; the message says why and what to do.</summary>
public sealed class PretrainException : Exception
{
    /// <summary>Names one fault.</summary>
    /// <param name="message">What is wrong and what to do.</param>
    public PretrainException(string message)
        : base(message)
    {
    }
}
