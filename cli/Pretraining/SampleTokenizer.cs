using SplitFrozen.Tokenizers;
using SplitFrozen.Training.Pretraining;

namespace SplitFrozen.Cli.Pretraining;

/// <summary>Trains the byte-level BPE tokenizer of a new model on its pretraining text.</summary>
internal static class SampleTokenizer
{
    /// <summary>Returns a folder with <c>vocab.json</c> and <c>merges.txt</c>; the one of an interrupted run is used again.</summary>
    public static string Make(IReadOnlyList<CorpusInput> inputs, int entries, string folder, Action<string> notice, CancellationToken cancellationToken)
    {
        var done = Path.Combine(folder, $"complete-{entries}");
        if (File.Exists(done))
        {
            return folder;
        }

        notice($"training a tokenizer of {entries} entries");
        var trainer = new BytePairTrainer();
        foreach (var input in inputs)
        {
            trainer.Add(CorpusText.Passages(input), cancellationToken);
        }

        var vocabulary = trainer.Train(entries, cancellationToken: cancellationToken);
        Directory.CreateDirectory(folder);
        vocabulary.Write(folder);
        File.WriteAllText(done, "");
        return folder;
    }
}
