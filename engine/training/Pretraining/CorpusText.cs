namespace SplitFrozen.Training.Pretraining;

/// <summary>The plain text of pretraining inputs, for training a tokenizer on it.</summary>
public static class CorpusText
{
    /// <summary>The passages of an input in file order.</summary>
    /// <exception cref="CorpusException">The file cannot be used; raised while reading.</exception>
    public static IEnumerable<string> Passages(CorpusInput input) => CorpusReader.Read(input).SelectMany(passages => passages);
}
