namespace SplitFrozen.Tokenizers;

/// <summary>Opens the tokenizer that lies in a model's folder.</summary>
public static class TokenizerFolder
{
    /// <summary>
    /// Opens, in this order of preference: <c>tokenizer.json</c> (byte-level BPE), <c>vocab.json</c> with <c>merges.txt</c>
    /// (GPT-2), <c>tokenizer.model</c> (Llama 3's tiktoken ranks, or SentencePiece BPE with byte fallback; the content tells
    /// which). Names of special tokens are taken from <c>tokenizer_config.json</c> where that lies beside them.
    /// Whether the tokenizer fits a model is for the caller to check against <see cref="ITextTokenizer.VocabularySize"/>.
    /// </summary>
    /// <exception cref="TokenizerFormatException">The folder holds no tokenizer, or one that is damaged or not supported.</exception>
    public static ITextTokenizer Open(string modelFolder)
    {
        ArgumentException.ThrowIfNullOrEmpty(modelFolder);
        if (!Directory.Exists(modelFolder))
        {
            throw new TokenizerFormatException(modelFolder, "there is no such folder.", "Name the folder that holds the model.");
        }

        try
        {
            return OpenAny(modelFolder);
        }
        catch (InvalidOperationException fault)
        {
            // What System.Text.Json throws for a string that escapes half of a surrogate pair.
            throw new TokenizerFormatException(modelFolder, $"a tokenizer file holds text that is not Unicode ({fault.Message})", "Fetch the files again.", fault);
        }
    }

    private static ITextTokenizer OpenAny(string folder)
    {
        var json = Path.Combine(folder, TokenizerJson.Name);
        var vocabulary = Path.Combine(folder, BytePairFiles.VocabularyFile);
        var merges = Path.Combine(folder, BytePairFiles.MergesFile);
        var model = Path.Combine(folder, TokenizerModelFile.Name);
        var names = SpecialTokenNames.Read(folder);
        if (File.Exists(json))
        {
            return TokenizerJson.Open(json, names);
        }

        if (File.Exists(vocabulary) && File.Exists(merges))
        {
            RefuseOtherClass(folder, names);
            return BytePairFiles.Open(vocabulary, merges);
        }

        if (File.Exists(model))
        {
            return TokenizerModelFile.Open(model, names);
        }

        if (File.Exists(vocabulary) || File.Exists(merges))
        {
            var (present, missing) = File.Exists(vocabulary) ? (vocabulary, merges) : (merges, vocabulary);
            throw new TokenizerFormatException(
                missing, $"is missing, though {Path.GetFileName(present)} is there.", "GPT-2's tokenizer is the two files together.");
        }

        throw new TokenizerFormatException(
            folder,
            "holds no tokenizer.",
            $"Put {TokenizerJson.Name}, {BytePairFiles.VocabularyFile} with {BytePairFiles.MergesFile}, or {TokenizerModelFile.Name} beside config.json.");
    }

    /// <summary>Other families ship the same two files and cut text by other expressions, which only tokenizer.json names.</summary>
    private static void RefuseOtherClass(string folder, SpecialTokenNames names)
    {
        var isGpt2 = names.TokenizerClass is null or "GPT2Tokenizer" or "GPT2TokenizerFast" or "PreTrainedTokenizerFast";
        if (!isGpt2 || names.AddPrefixSpace)
        {
            throw new TokenizerFormatException(
                Path.Combine(folder, SpecialTokenNames.FileName),
                isGpt2 ? "add_prefix_space is set." : $"tokenizer_class is \"{names.TokenizerClass}\", not GPT-2's.",
                $"Supply the model's {TokenizerJson.Name}.");
        }
    }
}
