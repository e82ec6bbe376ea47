namespace SplitFrozen.Tokenizers;

/// <summary>Opens a <c>tokenizer.model</c>, a name that two formats share; the content tells which it is.</summary>
internal static class TokenizerModelFile
{
    public const string Name = "tokenizer.model";

    /// <exception cref="TokenizerFormatException">The file is neither format, is damaged, or is of a kind that is not supported.</exception>
    public static ITextTokenizer Open(string path, SpecialTokenNames names)
    {
        var content = File.ReadAllBytes(path);
        if (content.AsSpan().StartsWith("version https://git-lfs"u8))
        {
            throw new TokenizerFormatException(path, "is a Git LFS pointer, not the file itself.", "Run 'git lfs pull' where it came from.");
        }

        return TiktokenRanks.LooksLike(content)
            ? TiktokenRanks.Read(path, content, names)
            : new SentencePieceTokenizer(SentencePieceReader.Read(path, content));
    }
}
