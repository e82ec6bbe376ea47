namespace SplitFrozen.Tokenizers;

/// <summary>Opens the tokenizer that lies in a model's folder.</summary>
public static class TokenizerFolder
{
    /// <summary>
    /// Opens GPT-2's <c>vocab.json</c> with <c>merges.txt</c>.
    /// </summary>
    /// <exception cref="TokenizerFormatException">The folder holds no tokenizer, or one that is damaged or not supported.</exception>
    public static ITextTokenizer Open(string modelFolder)
    {
        ArgumentException.ThrowIfNullOrEmpty(modelFolder);
        if (!Directory.Exists(modelFolder))
        {
            throw new TokenizerFormatException(modelFolder, "there is no such folder.", "Name the folder that holds the model.");
        }

        var vocabulary = Path.Combine(modelFolder, BytePairFiles.VocabularyFile);
        var merges = Path.Combine(modelFolder, BytePairFiles.MergesFile);
        if (File.Exists(vocabulary) && File.Exists(merges))
        {
            return BytePairFiles.Open(vocabulary, merges);
        }

        throw new TokenizerFormatException(
            modelFolder,
            "holds no tokenizer.",
            $"Put {BytePairFiles.VocabularyFile} and {BytePairFiles.MergesFile} beside config.json.");
    }
}
