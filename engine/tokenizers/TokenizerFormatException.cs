namespace SplitFrozen.Tokenizers;

/// <summary>A tokenizer's files are missing, damaged or of a kind that is not supported; the message names the file and what to do.</summary>
public sealed class TokenizerFormatException : Exception
{
    /// <summary>Creates the error for <paramref name="file"/>: what is wrong with it and what to do about it.</summary>
    public TokenizerFormatException(string file, string problem, string remedy, Exception? innerException = null)
        : base($"{file}: {problem} {remedy}", innerException)
    {
        File = file;
    }

    /// <summary>The file or folder at fault.</summary>
    public string File { get; }
}
