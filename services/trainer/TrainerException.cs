namespace SplitFrozen.Trainer;

/// <summary>The trainer cannot go on; the message says what was wrong and what to do.</summary>
public sealed class TrainerException(string message, Exception? inner = null) : Exception(message, inner);
