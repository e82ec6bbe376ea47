using System.CommandLine;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Tokenizers;
using SplitFrozen.Torch;
using SplitFrozen.Training.Export;

namespace SplitFrozen.Cli.Commands;

/// <summary><c>generate</c>: continues a text greedily.</summary>
internal static class GenerateCommand
{
    public static Command Create(CommandContext context)
    {
        var model = new Argument<string>("model") { Description = "Model folder." };
        var adapter = new Option<string?>("--adapter") { Description = "Adapter folder in PEFT form, made for this model.", HelpName = "DIR" };
        var prompt = new Option<string>("--prompt") { Description = "The text to continue.", HelpName = "TEXT", Required = true };
        var tokens = new Option<int>("--tokens") { Description = "Most new tokens.", HelpName = "N", DefaultValueFactory = _ => 64 };
        var threads = new Option<int>("--threads") { Description = "Threads for tensor work.", HelpName = "N", DefaultValueFactory = _ => 1 };
        var command = new Command("generate", "Continue a text by the likeliest tokens.") { model, adapter, prompt, tokens, threads };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var thread = new ComputeThread("generate", parsed.GetValue(threads));
            var text = await thread.RunAsync(
                () => Generate(parsed.GetRequiredValue(model), parsed.GetValue(adapter), parsed.GetRequiredValue(prompt), parsed.GetValue(tokens), cancellationToken),
                cancellationToken).ConfigureAwait(false);
            await context.Output.WriteLineAsync(text).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static string Generate(string modelPath, string? adapterPath, string prompt, int tokens, CancellationToken cancellationToken)
    {
        var adapter = adapterPath is null ? null : PeftAdapter.Read(adapterPath);
        using var folder = ModelFolder.Open(modelPath, adapter?.FrozenWeights ?? FrozenWeights.Float32);
        var tokenizer = TokenizerFolder.Open(modelPath);
        if (adapter is { Classes: > 0 })
        {
            throw new InputException($"{adapterPath}: this adapter classifies; text comes from an adapter of a language-modelling task.");
        }

        var boundary = adapter?.Boundary(folder.Config) ?? 0;
        using var encoder = FrozenEncoder.Open(folder, boundary);
        using var upper = adapter?.Open(folder)
            ?? UpperModel.Open(folder, new UpperModelOptions { LowestCut = 0, Boundary = 0, Head = HeadKind.LanguageModel });
        var content = tokenizer.Encode(prompt);
        int[] encoded = tokenizer.BeginOfTextId is { } begin ? [begin, .. content] : content;
        if (encoded.Length == 0 || encoded.Length >= folder.Config.MaximumPositions)
        {
            throw new InputException($"--prompt: it has {encoded.Length} tokens; expected 1 to {folder.Config.MaximumPositions - 1}, so that the model's positions leave room.");
        }

        var stop = new HashSet<int>(new[] { tokenizer.EndOfTextId, folder.Config.EndOfTextId, tokenizer.BeginOfTextId }.OfType<int>());
        var generated = new TextGenerator(encoder, upper).Generate(encoded, tokens, stop, cancellationToken);
        return tokenizer.Decode([.. content, .. generated]);
    }
}
