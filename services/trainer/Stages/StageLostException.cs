namespace SplitFrozen.Trainer.Stages;

/// <summary>A stage in another process is gone, or cannot be reached: all return to the last checkpoint.</summary>
internal sealed class StageLostException(string message, Exception? inner = null) : Exception(message, inner);
