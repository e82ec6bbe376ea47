using System.Threading.Channels;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;

namespace SplitFrozen.Trainer.Hosting;

/// <summary>
/// A trainer process: takes up one offered run at a time. Which trainer gets a run is decided by its lease; an offer that
/// comes while this one is busy is passed over, for the coordinator repeats it.
/// </summary>
internal sealed class TrainerHost(IOptions<TrainerHostOptions> options, IControlPlane control, TrainerRunFactory runs, ILogger<TrainerHost> logger) : BackgroundService
{
    private volatile TrainerRun? _current;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var offers = Channel.CreateBounded<RunOffered>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        logger.LogInformation("Trainer {Trainer} waits for runs", options.Value.Name);
        while (true)
        {
            // Anew after each run: should a connection's loss have left the subscription deaf, it does not outlive the run.
            using var subscription = control.Subscribe<RunOffered>((offer, token) => OfferedAsync(offer, offers.Writer, token));
            while (!await WorkAsync(await offers.Reader.ReadAsync(stoppingToken).ConfigureAwait(false), stoppingToken).ConfigureAwait(false))
            {
                // Another trainer has it; the next offer comes by itself.
            }
        }
    }

    private async ValueTask OfferedAsync(RunOffered offer, ChannelWriter<RunOffered> offers, CancellationToken cancellationToken)
    {
        if (_current is not { } current)
        {
            offers.TryWrite(offer);
        }
        else if (current.RunId == offer.RunId)
        {
            // A restarted coordinator asks who works on it.
            await current.AnnounceAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Takes a run up and works on it to its end.</summary>
    /// <returns>False where it was not to be had.</returns>
    private async Task<bool> WorkAsync(RunOffered offer, CancellationToken stoppingToken)
    {
        try
        {
            await using var run = await runs.TryTakeAsync(offer, stoppingToken).ConfigureAwait(false);
            if (run is null)
            {
                return false;
            }

            _current = run;
            await run.WorkAsync(stoppingToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            logger.LogInformation("Trainer {Trainer} stops", options.Value.Name);
        }
        catch (Exception exception)
        {
            // The run has been told; the process goes on with the next one.
            logger.LogError(exception, "Run {Run} failed", offer.RunId);
        }
        finally
        {
            _current = null;
        }

        return true;
    }
}
