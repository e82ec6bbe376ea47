using SplitFrozen.Models;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Cli.Tests;

/// <summary>A folder with an untrained model of two blocks, a small data set and a spec, and the command run in it. Deleted at the end.</summary>
internal sealed class TinyWorkspace : IDisposable
{
    public const int TrainRows = 48;
    public const int HeldOutRows = 12;

    public TinyWorkspace()
    {
        Folder = Directory.CreateTempSubdirectory("splitfrozen-cli-").FullName;
        WriteModel();
        WriteRows("train.csv", TrainRows);
        WriteRows("held_out.csv", HeldOutRows);
        Write("spec.yaml", Spec);
    }

    public static string Spec { get; } =
        """
        name: tiny
        seed: 3
        model:
          path: model
          boundary: 1
        lora:
          rank: 2
          alpha: 4
          targets: [c_attn, c_fc]
        task:
          kind: classification
          train: train.csv
          evaluation: held_out.csv
          text_columns: [text]
          target_column: label
          max_length: 24
        clients:
          count: 3
          partition: dirichlet
          alpha: 0.3
        device:
          micro_batch: 1
        training:
          epochs: 2
          batch_size: 8
          checkpoint_every_steps: 2
        cache:
          directory: cache
        """;

    public string Folder { get; }

    public string At(string path) => Path.Combine(Folder, path);

    public void Write(string name, string text) => File.WriteAllText(At(name), text);

    public void EditSpec(string from, string to)
    {
        Assert.Contains(from, Spec, StringComparison.Ordinal);
        Write("spec.yaml", File.ReadAllText(At("spec.yaml")).Replace(from, to, StringComparison.Ordinal));
    }

    /// <summary>Runs the command with its cache inside the folder.</summary>
    public Task<CommandResult> RunSpecAsync(string output, params string[] more) =>
        RunAsync(["run", At("spec.yaml"), "--out", At(output), "--set", $"cache.directory={At("cache")}", .. more]);

    public static Task<CommandResult> RunAsync(string[] arguments) => RunInterruptiblyAsync(arguments, new StringWriter(), CancellationToken.None);

    /// <summary>Runs a command that Ctrl-C, the token, may stop.</summary>
    public static async Task<CommandResult> RunInterruptiblyAsync(string[] arguments, TextWriter output, CancellationToken interrupted)
    {
        var error = new StringWriter();
        var context = new CommandContext { Output = TextWriter.Synchronized(output), Error = TextWriter.Synchronized(error), Interrupted = interrupted };
        var code = await SplitFrozenCommand.RunAsync(arguments, context);
        return new CommandResult(code, output.ToString()!, error.ToString());
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    private void WriteModel()
    {
        var trainer = new BytePairTrainer();
        trainer.Add(Enumerable.Range(0, TrainRows).Select(Text));
        Directory.CreateDirectory(At("model"));
        var vocabulary = trainer.Train(320);
        vocabulary.Write(At("model"));
        ModelInitialization.Write(At("model"), new TransformerConfig
        {
            Family = ModelFamily.Gpt2,
            Layers = 2,
            Width = 16,
            Heads = 2,
            KeyValueHeads = 2,
            HeadWidth = 8,
            InnerWidth = 64,
            VocabularySize = vocabulary.Tokens.Count,
            MaximumPositions = 32,
            NormEpsilon = 1e-5,
            TieWordEmbeddings = true,
            EndOfTextId = vocabulary.Tokens.Count - 1,
        }, seed: 11);
    }

    private void WriteRows(string name, int rows) =>
        Write(name, "text,label\n" + string.Concat(Enumerable.Range(0, rows).Select(row => $"{Text(row)},{(row % 2 == 0 ? "good" : "bad")}\n")));

    private static string Text(int row) => $"the film number {row} was {(row % 2 == 0 ? "a joy to see" : "a waste of time")}";
}

/// <summary>What a command left.</summary>
internal sealed record CommandResult(int Code, string Output, string Error)
{
    public IReadOnlyList<string> Lines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
