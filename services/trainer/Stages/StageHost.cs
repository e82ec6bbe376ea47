using System.Threading.Channels;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging;
using SplitFrozen.Trainer.Hosting;

namespace SplitFrozen.Trainer.Stages;

/// <summary>A trainer process that is a stage beside a leader: serves one session at a time, and waits for the next when it is over.</summary>
internal sealed class StageHost(
    IOptions<TrainerHostOptions> options, IControlPlane control, IStageMailboxes mailboxes, TimeProvider time, ILogger<StageHost> logger) : BackgroundService
{
    private volatile bool _serving;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var role = options.Value.Role;
        var offers = Channel.CreateBounded<StagesOffered>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        logger.LogInformation("Trainer {Trainer} waits for runs as stage {Stage} of {Stages}, replica {Replica} of {Replicas}", options.Value.Name, role.Stage + 1, role.Stages, role.Replica + 1, role.Replicas);
        while (true)
        {
            // Anew after each session: should a connection's loss have left the subscription deaf, it does not outlive the session.
            using var subscription = control.Subscribe<StagesOffered>((offer, _) =>
            {
                if (!_serving && offer.Boundaries.Length == role.Stages + 1 && offer.Replicas == role.Replicas)
                {
                    offers.Writer.TryWrite(offer);
                }

                return ValueTask.CompletedTask;
            });
            await ServeAsync(await offers.Reader.ReadAsync(stoppingToken).ConfigureAwait(false), role, stoppingToken).ConfigureAwait(false);
        }
    }

    private async Task ServeAsync(StagesOffered offer, StageRole role, CancellationToken stoppingToken)
    {
        _serving = true;
        try
        {
            var server = await StageServer.TryOpenAsync(offer, role, mailboxes, time, stoppingToken).ConfigureAwait(false);
            if (server is null)
            {
                // Another process is this member of this session.
                return;
            }

            await using (server.ConfigureAwait(false))
            {
                await control.PublishAsync(new StageJoined(offer.RunId, offer.Session, role.Member, options.Value.Name, Fault: null), stoppingToken).ConfigureAwait(false);
                logger.LogInformation("Run {Run}: stage {Member}, blocks {First} to {Last}", offer.RunId, role.Member, offer.Boundaries[role.Stage], offer.Boundaries[role.Stage + 1] - 1);
                var reason = await server.RunAsync(stoppingToken).ConfigureAwait(false);
                logger.LogInformation("Run {Run}: stage {Member} is free again: {Reason}", offer.RunId, role.Member, reason);
            }
        }
        catch (TrainerException exception)
        {
            logger.LogError("Run {Run}: {Reason}", offer.RunId, exception.Message);
            await control.PublishAsync(new StageJoined(offer.RunId, offer.Session, role.Member, options.Value.Name, exception.Message), stoppingToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            // The leader finds the mailbox gone; the process goes on with the next session.
            logger.LogError(exception, "Run {Run}: stage {Member} failed", offer.RunId, role.Member);
        }
        finally
        {
            _serving = false;
        }
    }
}
