using SplitFrozen.Cli.Display;
using SplitFrozen.Cli.Events;
using SplitFrozen.Contracts.Events;

namespace SplitFrozen.Cli.Remote;

/// <summary>Shows a remote run as <c>run</c> shows a local one.</summary>
internal sealed class RunWatch(CommandContext context, CoordinatorClient client, bool json)
{
    private readonly RunProgress _progress = new();

    /// <summary>Watches until the run ends, or until interrupted: the run itself goes on then.</summary>
    /// <returns>Exit code.</returns>
    public async Task<int> WatchAsync(string runId, CancellationToken cancellationToken)
    {
        var live = json || !context.IsTerminal ? null : new LiveDisplay(context.Console(), _progress, context.Time, cancellationToken);
        IRunObserver display = live ?? (json ? new JsonDisplay(context.Output) : (IRunObserver)new PlainDisplay(context.Output, _progress, context.Time));
        RunEndedEvent? ended = null;
        try
        {
            var work = client.FollowAsync(
                runId,
                runEvent =>
                {
                    _progress.Observe(runEvent);
                    display.Observe(runEvent);
                    ended = runEvent as RunEndedEvent ?? ended;
                },
                cancellationToken);
            await (live?.RunAsync(work) ?? Task.CompletedTask).ConfigureAwait(false);
            await work.ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            await context.Error.WriteLineAsync($"No longer watching; the run goes on. Watch it again: splitfrozen watch {runId}").ConfigureAwait(false);
            return ExitCodes.Interrupted;
        }

        if (ended is { Status: "finished" })
        {
            if (!json)
            {
                await context.Output.WriteLineAsync($"Finished. Fetch the adapter: splitfrozen download {runId} --out adapter").ConfigureAwait(false);
            }

            return ExitCodes.Success;
        }

        throw new RunFailedException(ended?.Reason ?? $"Run {runId} was cancelled; it goes on with: splitfrozen resume {runId}");
    }
}
