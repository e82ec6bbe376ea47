using System.Threading.Channels;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Planning;
using SplitFrozen.Messaging;
using SplitFrozen.ServiceDefaults;

namespace SplitFrozen.Coordinator;

/// <summary>
/// The coordinator of one run. It waits for the clients, makes the plan, asks devices for activations that are not in the
/// cache, takes them in fairly, and publishes steps by reference to the trainer, from the trainer's position on. It holds
/// no tensors and no state that it cannot make again from plan, cache, ledger and trainer.
/// </summary>
/// <param name="options">The run.</param>
/// <param name="control">Registrations, work, progress.</param>
/// <param name="source">The clients' queues.</param>
/// <param name="steps">Takes the step messages.</param>
/// <param name="cache">Activations.</param>
/// <param name="ledger">The run's durable account.</param>
/// <param name="time">Clock of deadlines.</param>
/// <param name="logger">Log.</param>
/// <param name="isServed">Whether a device that is alive serves a client, from any thread; null where all clients always are.</param>
public sealed class CoordinatorService(
    CoordinatorOptions options,
    IControlPlane control,
    IActivationSource source,
    IStepPublisher steps,
    IActivationCache cache,
    IRunLedger ledger,
    TimeProvider time,
    ILogger<CoordinatorService> logger,
    Func<string, bool>? isServed = null)
{
    /// <summary>
    /// Runs until the trainer has finished, another service failed, or the caller cancels; then it returns. On a fault of
    /// its own it publishes <see cref="RunFailed"/> and throws.
    /// </summary>
    /// <exception cref="CoordinatorException">The run cannot go on; the message says why and what to do.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            await CoordinateAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            logger.LogInformation("Run {Run}: the coordinator stops", options.RunId);
        }
        catch (Exception exception)
        {
            await control.PublishAsync(new RunFailed(options.RunId, exception.Message), CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    private async Task CoordinateAsync(CancellationToken cancellationToken)
    {
        // Unbounded, but what arrives is bounded by what is outstanding: assignments, steps ahead, registrations.
        var events = Channel.CreateUnbounded<object>(new UnboundedChannelOptions { SingleReader = true });
        using var subscriptions = Subscribe(events.Writer);
        var refusals = new Refusals(options.RunId, control, logger);
        var directory = new SampleDirectory(options.ModelFingerprint, options.Width, options.WireType);
        var registry = new ClientRegistry(options, directory);
        registry.Restore(await ledger.ClientsAsync(options.RunId, cancellationToken).ConfigureAwait(false));
        await control.PublishAsync(new CoordinatorReady(options.RunId), cancellationToken).ConfigureAwait(false);
        var trainer = await RegisterClientsAsync(registry, refusals, events.Reader, cancellationToken).ConfigureAwait(false);
        var plan = Plan(directory);
        await ledger.RecordClientsAsync(options.RunId, registry.Records, cancellationToken).ConfigureAwait(false);

        var publication = new StepPublication(steps, ledger);
        using var ingest = new ActivationIngest(options, directory, source, cache, ledger, control, refusals, Report);
        var assigner = new WorkAssigner(options);
        var missing = new MissingSamples(options, directory, assigner, control, ledger, isServed ?? (_ => true), time);
        var flow = new RunFlow(
            options, registry, directory, plan, assigner, missing, control, cache, ledger, publication, ingest.IsEmpty, refusals, Report, time, logger);
        var cached = await flow.FindCachedAsync(cancellationToken).ConfigureAwait(false);
        await control.PublishAsync(Planned(directory, plan, cached), cancellationToken).ConfigureAwait(false);
        await ServiceTasks.RunAsync(
            token => flow.RunAsync(events.Reader, trainer, token),
            [ingest.RunAsync, publication.RunAsync, token => TickAsync(events.Writer, token)],
            cancellationToken).ConfigureAwait(false);

        void Report(object message) => events.Writer.TryWrite(message);
    }

    private async Task<TrainerReady?> RegisterClientsAsync(ClientRegistry registry, Refusals refusals, ChannelReader<object> events, CancellationToken cancellationToken)
    {
        using var deadline = options.ClientDeadline is { } wait
            ? new CancellationTokenSource(wait, time)
            : new CancellationTokenSource();
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        TrainerReady? trainer = null;
        try
        {
            while (!registry.IsComplete)
            {
                switch (await events.ReadAsync(either.Token).ConfigureAwait(false))
                {
                    case TrainerReady ready:
                        trainer = ready;
                        break;
                    case RunFailed failure:
                        throw new CoordinatorException($"Run '{options.RunId}' failed before it started: {failure.Reason}");
                    case ClientRegistered registration:
                        await RegisterAsync(registry, refusals, registration, either.Token).ConfigureAwait(false);
                        break;
                    default:
                        break;
                }
            }
        }
        catch (OperationCanceledException) when (deadline.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            await GoOnWithoutAsync(registry, $"not all clients came within {options.ClientDeadline}", cancellationToken).ConfigureAwait(false);
        }

        return trainer;
    }

    /// <summary>The run is planned without the clients that are missing, or stops for them.</summary>
    private async Task GoOnWithoutAsync(ClientRegistry registry, string what, CancellationToken cancellationToken)
    {
        var missing = registry.Missing();
        if (!options.CompleteWithoutMissing)
        {
            throw new CoordinatorException($"Run '{options.RunId}': {what}: {string.Join("; ", missing.Select(client => $"client '{client.Key}' {client.Value}"))}");
        }

        registry.Close();
        foreach (var (client, reason) in missing)
        {
            await control.PublishAsync(new SamplesFailed(options.RunId, client, 0, 0, reason), cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task RegisterAsync(ClientRegistry registry, Refusals refusals, ClientRegistered registration, CancellationToken cancellationToken)
    {
        if (registry.Register(registration, out var reason) == RegistrationOutcome.Refused)
        {
            await refusals.TellAsync(registration.ClientId, "the registration", reason!, cancellationToken).ConfigureAwait(false);
        }

        if (registry.IsHopeless)
        {
            await GoOnWithoutAsync(registry, "the run cannot start", cancellationToken).ConfigureAwait(false);
        }
    }

    private TrainingPlan Plan(SampleDirectory directory)
    {
        var ids = directory.Samples.Select(entry => entry.Id).ToArray();
        return Array.TrueForAll(ids, id => id.IsEvaluation)
            ? throw new CoordinatorException($"Run '{options.RunId}': the clients hold no training sample. Check the data files and limits of the task.")
            : new TrainingPlan(ids, options.Seed, options.Epochs, options.BatchSize, options.EvaluationSamples);
    }

    private RunPlanned Planned(SampleDirectory directory, TrainingPlan plan, int cached)
    {
        var perClient = directory.Clients.ToDictionary(client => client.Id, _ => 0);
        foreach (var entry in directory.Samples)
        {
            perClient[entry.Client.Id]++;
        }

        return new RunPlanned(options.RunId, plan.TrainingSamples, plan.HeldOutSamples, cached, plan.TotalSteps, perClient);
    }

    private async Task TickAsync(ChannelWriter<object> events, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromTicks(Math.Max(options.RepeatAfter.Ticks / 2, TimeSpan.TicksPerMillisecond)), time);
        while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false))
        {
            events.TryWrite(new RecheckDue());
        }
    }

    private Subscriptions Subscribe(ChannelWriter<object> events)
    {
        var subscriptions = new Subscriptions();
        On<ClientRegistered>();
        On<WorkFinished>();
        On<TrainerReady>();
        On<StepsRequested>();
        On<StepApplied>();
        On<EvaluationPartFinished>();
        On<CheckpointWritten>();
        On<ActivationsMissing>();
        On<RunFinished>();
        On<RunFailed>();
        return subscriptions;

        void On<TMessage>()
            where TMessage : class, IRunMessage
        {
            subscriptions.Add(control.Subscribe<TMessage>((message, _) =>
            {
                if (message.RunId == options.RunId)
                {
                    events.TryWrite(message);
                }

                return ValueTask.CompletedTask;
            }));
        }
    }
}
