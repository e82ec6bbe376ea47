using System.Text;
using SplitFrozen.Contracts.Determinism;

namespace SplitFrozen.Tasks.Demo;

/// <summary>
/// The demo's data: made-up review sentences in two equally large classes, whose wording decides the class by negation and
/// contrast and not by single words. The same seed gives the same files on every machine; <c>samples/demo</c> holds those
/// of <see cref="DefaultSeed"/>.
/// </summary>
public sealed class DemoDataset
{
    /// <summary>The seed of the files in <c>samples/demo</c>.</summary>
    public const ulong DefaultSeed = 1;

    /// <summary>Training sentences.</summary>
    public const int TrainCount = 2000;

    /// <summary>Held-out sentences; none of them is a training sentence.</summary>
    public const int HeldOutCount = 400;

    /// <summary>File names that <see cref="Write"/> gives the two parts.</summary>
    public const string TrainFile = "train.csv";

    /// <inheritdoc cref="TrainFile"/>
    public const string HeldOutFile = "held_out.csv";

    private DemoDataset(IReadOnlyList<DemoSentence> train, IReadOnlyList<DemoSentence> heldOut)
    {
        Train = train;
        HeldOut = heldOut;
    }

    /// <summary>The training sentences, in random order, half of each class.</summary>
    public IReadOnlyList<DemoSentence> Train { get; }

    /// <summary>The held-out sentences, in random order, half of each class.</summary>
    public IReadOnlyList<DemoSentence> HeldOut { get; }

    /// <summary>Makes the data; no sentence occurs twice.</summary>
    public static DemoDataset Generate(ulong seed)
    {
        var grammar = new DemoGrammar(SeededRandom.ForStream(seed, "demo sentences"));
        var seen = new HashSet<string>();
        var sentences = new List<DemoSentence>(TrainCount + HeldOutCount);
        while (sentences.Count < TrainCount + HeldOutCount)
        {
            var positive = sentences.Count % 2 == 0;
            var text = grammar.Sentence(positive);
            if (seen.Add(text))
            {
                sentences.Add(new DemoSentence(text, positive));
            }
        }

        return new DemoDataset(
            Shuffled(sentences[..TrainCount], seed, "demo train"),
            Shuffled(sentences[TrainCount..], seed, "demo held out"));
    }

    /// <summary>
    /// Writes <c>train.csv</c> and <c>held_out.csv</c> (UTF-8, header <c>text,label</c>, RFC 4180 quoting, line feeds) into
    /// <paramref name="folder"/>, which is made if need be.
    /// </summary>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public void Write(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        Directory.CreateDirectory(folder);
        WriteTable(Path.Combine(folder, TrainFile), Train);
        WriteTable(Path.Combine(folder, HeldOutFile), HeldOut);
    }

    private static DemoSentence[] Shuffled(List<DemoSentence> sentences, ulong seed, string purpose)
    {
        DemoSentence[] shuffled = [.. sentences];
        SeededRandom.ForStream(seed, purpose).Shuffle<DemoSentence>(shuffled);
        return shuffled;
    }

    private static void WriteTable(string path, IReadOnlyList<DemoSentence> sentences)
    {
        var table = new StringBuilder("text,label\n");
        foreach (var sentence in sentences)
        {
            var field = sentence.Text.Contains(',') ? $"\"{sentence.Text}\"" : sentence.Text;
            table.Append(field).Append(',').Append(sentence.Label).Append('\n');
        }

        var temporary = path + ".tmp";
        File.WriteAllText(temporary, table.ToString());
        File.Move(temporary, path, overwrite: true);
    }
}
