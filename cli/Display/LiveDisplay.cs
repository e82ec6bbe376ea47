using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;
using SplitFrozen.Cli.Events;
using SplitFrozen.Contracts.Events;

namespace SplitFrozen.Cli.Display;

/// <summary>A display that redraws itself four times a second: a table of clients above the trainer's line.</summary>
internal sealed class LiveDisplay(IAnsiConsole console, RunProgress progress, TimeProvider time, CancellationToken interrupted) : IRunObserver
{
    private const int BarWidth = 16;
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(250);

    private readonly Lock _lock = new();
    private readonly RunRates _rates = new();

    /// <inheritdoc/>
    public void Observe(RunEvent runEvent)
    {
        lock (_lock)
        {
            _rates.Observe(runEvent);
        }
    }

    /// <summary>Redraws until <paramref name="work"/> ends, then leaves the last picture standing.</summary>
    public Task RunAsync(Task work) => console.Live(new Text("Preparing…")).AutoClear(false).Overflow(VerticalOverflow.Ellipsis).StartAsync(async context =>
    {
        using var timer = new PeriodicTimer(s_interval, time);
        while (!work.IsCompleted)
        {
            await Task.WhenAny(work, timer.WaitForNextTickAsync().AsTask()).ConfigureAwait(false);
            context.UpdateTarget(Render());
            context.Refresh();
        }
    });

    /// <summary>The present picture.</summary>
    public IRenderable Render()
    {
        lock (_lock)
        {
            return progress.Read(view => (IRenderable)new Rows([Clients(view), new Text(""), Trainer(view), Evaluations(view), .. Interruption()]));
        }
    }

    private IEnumerable<IRenderable> Interruption() => interrupted.IsCancellationRequested ? [new Markup($"[yellow]{InterruptSignal.Notice}[/]")] : [];

    private Table Clients(RunProgressView view)
    {
        var now = time.GetUtcNow();
        var table = new Table().Border(TableBorder.Simple).BorderColor(Color.Grey);
        table.AddColumn("client");
        table.AddColumn("computed", column => column.NoWrap());
        table.AddColumn("of", column => column.RightAligned());
        table.AddColumn("samples/s", column => column.RightAligned());
        table.AddColumn("compute", column => column.RightAligned());
        table.AddColumn("sent", column => column.RightAligned());
        var shown = Math.Max(4, console.Profile.Height - 12);
        foreach (var client in view.Clients.Values.Take(shown))
        {
            var rate = _rates.SamplesPerSecond(client.Client, now);
            table.AddRow(
                new Text(client.Client),
                new Markup($"{Bar(client.Computed, client.Samples)} {client.Computed,6}"),
                new Text(client.Samples.ToString(CultureInfo.InvariantCulture)),
                new Text(rate > 0 ? rate.ToString("0", CultureInfo.InvariantCulture) : "–"),
                new Text(Quantity.Flops(client.ForwardFlops)),
                new Text(Quantity.Bytes(client.Bytes)));
        }

        if (view.Clients.Count > shown)
        {
            table.AddRow(new Text($"… {view.Clients.Count - shown} more"));
        }

        return table;
    }

    private Markup Trainer(RunProgressView view)
    {
        var now = time.GetUtcNow();
        if (view.Progress.Plan is not { } plan)
        {
            return new Markup("[grey]waiting for the clients to register[/]");
        }

        var cached = plan.CachedSamples > 0
            ? $"[grey]{plan.CachedSamples} of {plan.TrainSamples + plan.EvaluationSamples} samples were in the cache already[/]\n"
            : "";
        if (view.Steps.Count == 0)
        {
            return new Markup(cached + "[bold]trainer[/]  [grey]waiting for the first step[/]");
        }

        var last = view.Steps.Values.Last();
        var done = last.Step + 1;
        var eta = done >= plan.TotalSteps ? "done" : _rates.Remaining(plan.TotalSteps - done, now) is { } remaining ? Quantity.Time(remaining) : "…";
        return new Markup(cached + string.Create(
            CultureInfo.InvariantCulture,
            $"[bold]trainer[/]  {Bar(done, plan.TotalSteps)} step [bold]{done}[/]/{plan.TotalSteps}  epoch {last.Epoch + 1}  loss [bold]{_rates.Loss:0.000}[/]"
            + $"  {Quantity.Count(_rates.TokensPerSecond(now))} tokens/s  starved {_rates.Starvation():0%}  ETA [bold]{eta}[/]"));
    }

    private static Markup Evaluations(RunProgressView view)
    {
        var lines = view.Evaluations.Values.Select(evaluation =>
            $"[bold]held out[/] {PlainDisplay.EvaluationName(evaluation.EpochsTrained)}: "
            + Markup.Escape(string.Join("  ", evaluation.Metrics.Select(metric => $"{metric.Key} {Quantity.Metric(metric.Key, metric.Value)}"))));
        var rejected = view.Progress.LastRefusal is { } reason ? [$"[yellow]{view.Progress.RefusedMessages} messages refused, the last: {Markup.Escape(reason)}[/]"] : Array.Empty<string>();
        var failed = view.Failures.TakeLast(3).Select(failure => $"[red]{Markup.Escape(PlainDisplay.FailureText(failure))}[/]");
        return new Markup(string.Join('\n', lines.TakeLast(6).Concat(rejected).Concat(failed)));
    }

    private static string Bar(double done, double total)
    {
        var filled = total <= 0 ? 0 : (int)Math.Clamp(Math.Round(done / total * BarWidth), 0, BarWidth);
        return $"[green]{new string('━', filled)}[/][grey]{new string('━', BarWidth - filled)}[/]";
    }
}
