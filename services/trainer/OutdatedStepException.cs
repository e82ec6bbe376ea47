namespace SplitFrozen.Trainer;

/// <summary>A step message was composed from a position that is not this trainer's; the trainer has to announce itself anew.</summary>
internal sealed class OutdatedStepException(string message) : Exception(message);
