namespace SplitFrozen.Contracts.Safetensors;

/// <summary>A file is not a safetensors file, or its header lies about it. The message says what is wrong and what to do.</summary>
public sealed class SafetensorsException(string message, Exception? innerException = null)
    : Exception(message, innerException);
