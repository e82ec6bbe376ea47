using System.CommandLine;
using System.Globalization;
using SplitFrozen.Cli.Display;
using SplitFrozen.Cli.Pretraining;
using SplitFrozen.Torch;
using SplitFrozen.Training.Pretraining;

namespace SplitFrozen.Cli.Commands;

/// <summary><c>pretrain</c>: makes a small GPT-2 from text, all weights trained, its tokenizer too unless one is given.</summary>
internal sealed class PretrainCommand
{
    private readonly Option<string[]> _text = new("--text")
    {
        Description = "Text to train on: one paragraph a line, <|endoftext|> lines between documents; .gz is unpacked. Repeatable; WEIGHT is its share of the training windows.",
        HelpName = "FILE[=WEIGHT]",
    };

    private readonly Option<string[]> _column = new("--column")
    {
        Description = "A text column of a .tsv (with header) or .jsonl data set, without its labels. Repeatable.",
        HelpName = "FILE:COLUMN[=WEIGHT]",
    };

    private readonly Option<string> _out = new("--out") { Description = "Folder for the model; an interrupted run there goes on.", HelpName = "DIR", Required = true };
    private readonly Option<string> _tokens = new("--tokens") { Description = "Training tokens, for example 500k or 20M.", HelpName = "N", Required = true };
    private readonly Option<double?> _minutes = new("--minutes") { Description = "Stop after this training time, with the learning rate brought to zero by then.", HelpName = "N" };
    private readonly Option<string?> _tokenizer = new("--tokenizer") { Description = "Folder with vocab.json and merges.txt. Default: train one on the text.", HelpName = "DIR" };
    private readonly Option<int> _vocabulary = WithDefault("--vocabulary", 4096, "Entries of the tokenizer that is trained.");
    private readonly Option<int> _blocks = WithDefault("--blocks", 6, "Transformer blocks.");
    private readonly Option<int> _width = WithDefault("--width", 256, "Width of the hidden states.");
    private readonly Option<int> _heads = WithDefault("--heads", 4, "Attention heads.");
    private readonly Option<int> _length = WithDefault("--sequence-length", 128, "Tokens per window, and positions of the model.");
    private readonly Option<int> _batch = WithDefault("--batch-size", 32, "Windows per optimiser step.");
    private readonly Option<int> _micro = WithDefault("--micro-batch", 0, "Windows per forward and backward; 0 means the batch size.");
    private readonly Option<double> _rate = WithDefault("--learning-rate", 1.5e-3, "Peak learning rate.");
    private readonly Option<double> _heldOut = WithDefault("--held-out-fraction", 0.005, "Share of the documents kept for perplexity.");
    private readonly Option<long> _seed = WithDefault("--seed", 1L, "Seed of weights and order.");
    private readonly Option<int> _threads = WithDefault("--threads", 2, "Threads for tensor work.");
    private readonly CommandContext _context;

    private PretrainCommand(CommandContext context) => _context = context;

    public static Command Create(CommandContext context)
    {
        var verb = new PretrainCommand(context);
        var command = new Command("pretrain", "Make a small GPT-2 from text files, from scratch. The same command goes on after an interruption.");
        Option[] options =
        [
            verb._text, verb._column, verb._out, verb._tokens, verb._minutes, verb._tokenizer, verb._vocabulary, verb._blocks, verb._width, verb._heads,
            verb._length, verb._batch, verb._micro, verb._rate, verb._heldOut, verb._seed, verb._threads,
        ];
        Array.ForEach(options, command.Options.Add);
        command.SetAction((parsed, cancellationToken) => verb.RunAsync(parsed, cancellationToken));
        return command;
    }

    private static Option<T> WithDefault<T>(string name, T value, string description) =>
        new(name) { Description = description, HelpName = "N", DefaultValueFactory = _ => value };

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var output = Path.GetFullPath(parsed.GetRequiredValue(_out));
        var options = Options(parsed, output);

        var display = new PretrainDisplay(_context);
        using var notice = cancellationToken.Register(() => display.Notice(InterruptSignal.Notice));
        var started = _context.Time.GetTimestamp();
        using var thread = new ComputeThread("pretrain", parsed.GetValue(_threads));
        var result = await display.RunAsync(() => thread.RunAsync(
            () =>
            {
                var folder = options.TokenizerFolder.Length > 0
                    ? options.TokenizerFolder
                    : SampleTokenizer.Make(options.Inputs, parsed.GetValue(_vocabulary), Path.Combine(output, "pretraining", "tokenizer"), display.Notice, cancellationToken);
                display.Notice("reading and encoding the text");
                return Pretrainer.Run(options with { TokenizerFolder = folder }, output, _context.Time, display.Show, display.Notice, cancellationToken);
            },
            CancellationToken.None)).ConfigureAwait(false);
        var perplexity = result.HeldOutPerplexity is { } value ? value.ToString("0.00", CultureInfo.InvariantCulture) : "not measured";
        display.Notice(
            $"done: {result.Folder}, {Quantity.Count(result.Parameters)} parameters, {result.Steps} steps, {Quantity.Count(result.Tokens)} tokens, "
            + $"held-out perplexity {perplexity}, {Quantity.Time(_context.Time.GetElapsedTime(started))}");
        return ExitCodes.Success;
    }

    private PretrainOptions Options(ParseResult parsed, string output)
    {
        var faults = new List<string>();
        var tokens = parsed.GetRequiredValue(_tokens);
        var budget = CorpusArguments.Count(tokens);
        if (budget is null)
        {
            faults.Add($"--tokens {tokens}: expected a count such as 500k or 20M.");
        }

        if (File.Exists(Path.Combine(output, "config.json")))
        {
            faults.Add($"--out {output}: there is a model already; name another folder, or delete this one.");
        }

        var options = new PretrainOptions
        {
            Inputs = CorpusArguments.Parse(parsed.GetValue(_text) ?? [], parsed.GetValue(_column) ?? [], faults),
            TokenizerFolder = parsed.GetValue(_tokenizer) ?? "",
            TokenBudget = budget ?? 1,
            TimeBudget = parsed.GetValue(_minutes) is { } minutes ? TimeSpan.FromMinutes(minutes) : null,
            Seed = unchecked((ulong)parsed.GetValue(_seed)),
            Layers = parsed.GetValue(_blocks),
            Width = parsed.GetValue(_width),
            Heads = parsed.GetValue(_heads),
            SequenceLength = parsed.GetValue(_length),
            BatchSize = parsed.GetValue(_batch),
            MicroBatch = parsed.GetValue(_micro),
            LearningRate = parsed.GetValue(_rate),
            HeldOutShare = parsed.GetValue(_heldOut),
        };
        if (options.Inputs.Count > 0)
        {
            faults.AddRange(options.Faults());
        }

        return faults.Count == 0 ? options : throw new InputException(faults);
    }
}
