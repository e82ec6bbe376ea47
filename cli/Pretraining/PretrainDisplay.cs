using System.Globalization;
using Spectre.Console;
using SplitFrozen.Cli.Display;
using SplitFrozen.Training.Pretraining;

namespace SplitFrozen.Cli.Pretraining;

/// <summary>Shows pretraining: one line that redraws itself on a terminal, else a line every ten seconds; perplexities always.</summary>
internal sealed class PretrainDisplay(CommandContext context)
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(10);

    private readonly IAnsiConsole _console = context.Console();
    private StatusContext? _status;
    private DateTimeOffset _lastLine = context.Time.GetUtcNow();

    /// <summary>Runs the work with the display open.</summary>
    public Task<T> RunAsync<T>(Func<Task<T>> work) => context.IsTerminal
        ? _console.Status().Spinner(Spinner.Known.Dots).StartAsync("preparing", async status =>
        {
            _status = status;
            return await work().ConfigureAwait(false);
        })
        : work();

    /// <summary>Says something once.</summary>
    public void Notice(string text) => _console.WriteLine(text);

    /// <summary>Shows a step.</summary>
    public void Show(PretrainProgress progress)
    {
        var line = string.Create(
            CultureInfo.InvariantCulture,
            $"step {progress.Step}/{progress.TotalSteps}  {Quantity.Count(progress.Tokens)} tokens  loss {progress.Loss:0.000}  learning rate {progress.LearningRate:0.0e0}"
            + $"  {Quantity.Count(progress.TokensPerSecond)} tokens/s  ETA {Quantity.Time(progress.Remaining)}");
        if (progress.HeldOutPerplexity is { } perplexity)
        {
            Notice(line + string.Create(CultureInfo.InvariantCulture, $"  held-out perplexity {perplexity:0.00}"));
        }
        else if (_status is not null)
        {
            _status.Status(Markup.Escape(line));
        }
        else if (context.Time.GetUtcNow() - _lastLine >= s_interval)
        {
            _lastLine = context.Time.GetUtcNow();
            Notice(line);
        }
    }
}
