using Microsoft.Extensions.Logging;
using SplitFrozen.Cli.Display;
using SplitFrozen.Cli.Events;
using SplitFrozen.Cli.Reporting;
using SplitFrozen.Contracts.Events;
using SplitFrozen.ServiceDefaults;

namespace SplitFrozen.Cli.LocalRun;

/// <summary>One <c>run</c> command from its prepared input to its report: new, resumed, or already finished.</summary>
internal sealed class RunSession(CommandContext context, PreparedRun run, string path, bool json)
{
    private readonly RunProgress _progress = new();

    /// <summary>Does it.</summary>
    /// <returns>Exit code.</returns>
    public async Task<int> ExecuteAsync(bool fresh, CancellationToken cancellationToken)
    {
        var record = run.Record($"{run.Spec.Name}-{Guid.NewGuid():N}");
        var state = RunFolder.Inspect(path, run.Spec, record, fresh);
        if (state == RunState.Finished)
        {
            return ShowFinished();
        }

        using var folder = RunFolder.Open(path, run.Spec, record, state, fresh);
        foreach (var earlier in MetricsFile.Read(folder.MetricsFile))
        {
            _progress.Observe(earlier);
        }

        using var metrics = new MetricsFile(folder.MetricsFile);
        using var telemetry = TelemetrySession.Start("splitfrozen", AddLoggers, context.Environment);
        return await WorkAsync(folder, metrics, telemetry.Loggers, cancellationToken).ConfigureAwait(false);
    }

    private async Task<int> WorkAsync(RunFolder folder, MetricsFile metrics, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        var started = context.Time.GetTimestamp();
        var live = json || !context.IsTerminal ? null : new LiveDisplay(context.Console(), _progress, context.Time, cancellationToken);
        IRunObserver display = live ?? (json ? new JsonDisplay(context.Output) : (IRunObserver)new PlainDisplay(context.Output, _progress, context.Time));
        using var notice = live is not null ? default : cancellationToken.Register(() => context.Error.WriteLine(InterruptSignal.Notice));
        IRunObserver[] observers = [_progress, metrics, display];
        var fromStep = _progress.Read(view => view.Steps.Count == 0 ? 0 : view.Steps.Keys.Last() + 1);
        Publish(new RunStartedEvent(context.Time.GetUtcNow(), run.Spec.Name, context.CommandLine(), fromStep));
        var runner = new LocalRunner(run, folder, folder.ReadRecord().RunId, loggers, context.Time);
        try
        {
            var work = runner.RunAsync(observers, cancellationToken);
            await (live?.RunAsync(work) ?? Task.CompletedTask).ConfigureAwait(false);
            await work.ConfigureAwait(false);
            var parameters = await RunCompletion.FinishAsync(run, folder, Publish, context.Time, cancellationToken).ConfigureAwait(false);
            Publish(Ended("finished", null));
            Report(folder, parameters);
            folder.MarkFinished();
            Summarize(folder);
            return ExitCodes.Success;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            Publish(Ended("interrupted", null));
            await context.Error.WriteLineAsync($"Stopped with a checkpoint in {folder.Path}; the same command goes on from there.").ConfigureAwait(false);
            return ExitCodes.Interrupted;
        }
        catch (Exception exception)
        {
            Publish(Ended("failed", exception.Message));
            throw;
        }

        void Publish(RunEvent runEvent) => Array.ForEach(observers, observer => observer.Observe(runEvent));

        RunEndedEvent Ended(string status, string? reason) =>
            new(context.Time.GetUtcNow(), status, context.Time.GetElapsedTime(started).TotalSeconds, reason);
    }

    private int ShowFinished()
    {
        foreach (var earlier in MetricsFile.Read(Path.Combine(path, "metrics.jsonl")))
        {
            _progress.Observe(earlier);
            if (json && earlier is EvaluationEvent or RunEndedEvent)
            {
                context.Output.WriteLine(earlier.ToJson());
            }
        }

        context.Error.WriteLine($"{path}: this run is finished; see its report.md, or start over with --fresh.");
        if (!json)
        {
            SummaryOf(path);
        }

        return ExitCodes.Success;
    }

    private void Report(RunFolder folder, long trainedParameters)
    {
        var facts = run.Facts(context.CommandLine(), folder.Path, trainedParameters);
        _progress.Read(view =>
        {
            File.WriteAllText(folder.ReportFile, RunReport.Write(facts, view));
            File.WriteAllText(folder.PlotFile, RunPlot.Draw($"{run.Spec.Name}: {run.Spec.Task.Kind}", view, facts.Metric));
            return true;
        });
    }

    private void Summarize(RunFolder folder)
    {
        if (!json)
        {
            SummaryOf(folder.Path);
        }
    }

    private void SummaryOf(string folder)
    {
        var facts = run.Facts(context.CommandLine(), folder, 0);
        _progress.Read(view =>
        {
            SummaryTable.Write(context.Console(), facts, view);
            return true;
        });
    }

    private void AddLoggers(ILoggingBuilder builder)
    {
        if (context.Environment("SPLITFROZEN_DEBUG") == "1")
        {
            builder.AddProvider(new ErrorLog(context.Error));
        }
    }
}
