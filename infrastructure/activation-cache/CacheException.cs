namespace SplitFrozen.ActivationCache;

/// <summary>The cache cannot be opened. The message says why and what to do.</summary>
public sealed class CacheException(string message, Exception? innerException = null) : Exception(message, innerException);
