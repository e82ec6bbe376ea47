namespace SplitFrozen.Coordinator;

/// <summary>The run cannot go on; the message says what was wrong, where, and what to do.</summary>
public sealed class CoordinatorException(string message) : Exception(message);
