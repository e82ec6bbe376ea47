using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Events;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Coordinator.Devices;
using SplitFrozen.Messaging;
using SplitFrozen.ServiceDefaults;

namespace SplitFrozen.Coordinator.Hosting;

/// <summary>
/// The active coordinator's work on one run, from its offer to its recorded end: finds a trainer, deals the clients, runs
/// <see cref="CoordinatorService"/>, waits for the adapter, and records events and status. Everything that it must not forget is in the
/// store, so that another coordinator can go on at any moment.
/// </summary>
internal sealed class RunWork : IDisposable
{
    private readonly RunServices _services;
    private readonly StoredRun _run;
    private readonly RunDealing _dealing;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopped = new();
    private readonly TaskCompletionSource<RunFacts> _facts = Source<RunFacts>();
    private readonly TaskCompletionSource<string> _failed = Source<string>();
    private readonly TaskCompletionSource _exported = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile TaskCompletionSource _finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _prepared;
    private long _lastEvent;
    private Subscriptions? _subscriptions;

    /// <summary>Work on a run as the store has it now; one whose status is final only has its end carried out.</summary>
    public RunWork(RunServices services, StoredRun run)
    {
        _services = services;
        _run = run;
        _logger = services.Loggers.CreateLogger<RunWork>();
        _dealing = new RunDealing(services, run);
        _lastEvent = services.Time.GetTimestamp();
        if (run.Facts is { } known)
        {
            _facts.SetResult(known);
        }
    }

    /// <summary>The run has been cancelled: stops, and then carries out its end.</summary>
    public void Stop() => _stopped.Cancel();

    /// <summary>Works until the run's end is recorded. Cancellation leaves the run as it is, for another coordinator.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            _subscriptions = Subscribe();
            await WorkAndEndAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _subscriptions?.Dispose();
        }
    }

    private async Task WorkAndEndAsync(CancellationToken cancellationToken)
    {
        if (_run.IsActive)
        {
            await AppendAsync(new RunStartedEvent(Now, _run.Spec.Name, "coordinator", _run.Step), cancellationToken).ConfigureAwait(false);
            await WorkAsync(cancellationToken).ConfigureAwait(false);
        }

        await EndAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public void Dispose() => _stopped.Dispose();

    private DateTimeOffset Now => _services.Time.GetUtcNow();

    private static TaskCompletionSource<T> Source<T>() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task WorkAsync(CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stopped.Token);
        var (status, reason) = (RunStatus.Finished, (string?)null);
        try
        {
            await ServiceTasks.RunAsync(CoordinateAsync, [OfferAsync, DealAsync], either.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (either.IsCancellationRequested)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return;
        }
#pragma warning disable CA1031 // Whatever it is, it is the reason why the run failed.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            cancellationToken.ThrowIfCancellationRequested();
            _logger.LogError(exception, "Run {Run} failed", _run.RunId);
            (status, reason) = (RunStatus.Failed, exception.Message);
        }

        // False where a user cancelled at the last moment: then that holds.
        await _services.Store.TryChangeAsync(_run.RunId, [RunStatus.Pending, RunStatus.Running], status, reason, cancellationToken).ConfigureAwait(false);
    }

    private async Task CoordinateAsync(CancellationToken cancellationToken)
    {
        var facts = await UnlessFailedAsync(_facts.Task, cancellationToken).ConfigureAwait(false);
        var clients = await ClientsAsync(cancellationToken).ConfigureAwait(false);
        while (true)
        {
            _finished = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _dealing.PublishAgain();
            var start = await _services.Store.NextStartAsync(cancellationToken).ConfigureAwait(false);
            var coordinator = new CoordinatorService(
                RunOptions.From(_run, facts, clients, start, _services), _services.Control, _services.Source, _services.Steps, _services.Cache, _services.Ledger,
                _services.Time, _services.Loggers.CreateLogger<CoordinatorService>(), _dealing.IsServed);
            await coordinator.RunAsync(cancellationToken).ConfigureAwait(false);
            await Task.WhenAny(_finished.Task, _failed.Task).WaitAsync(cancellationToken).ConfigureAwait(false);
            ThrowIfFailed();
            if (await ExportedAsync(cancellationToken).ConfigureAwait(false))
            {
                return;
            }

            _logger.LogWarning("Run {Run} has finished, but its adapter did not come; its trainer is asked again", _run.RunId);

            // Should a connection's loss have left a subscription deaf, the answer finds another one.
            _subscriptions!.Dispose();
            _subscriptions = Subscribe();
        }
    }

    private async Task<TResult> UnlessFailedAsync<TResult>(Task<TResult> task, CancellationToken cancellationToken)
    {
        await Task.WhenAny(task, _failed.Task).WaitAsync(cancellationToken).ConfigureAwait(false);
        ThrowIfFailed();
        return await task.ConfigureAwait(false);
    }

    private async Task<IReadOnlyList<string>> ClientsAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await UnlessFailedAsync(_dealing.Clients.WaitAsync(_services.Options.ClientDeadline, _services.Time, cancellationToken), cancellationToken)
                .ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new CoordinatorException(
                $"Run '{_run.RunId}' waited {_services.Options.ClientDeadline} for {_dealing.Waiting}. Start more with Device__Data, then resume the run; or submit it with a lower clients.count.");
        }
    }

    private async Task<bool> ExportedAsync(CancellationToken cancellationToken)
    {
        try
        {
            await Task.WhenAny(_exported.Task, _failed.Task).WaitAsync(_services.Options.ExportDeadline, _services.Time, cancellationToken).ConfigureAwait(false);
            ThrowIfFailed();
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private void ThrowIfFailed()
    {
        if (_failed.Task.IsCompletedSuccessfully)
        {
            throw new CoordinatorException(_failed.Task.Result);
        }
    }

    private async Task OfferAsync(CancellationToken cancellationToken)
    {
        while (!_exported.Task.IsCompleted)
        {
            await _services.Control.PublishAsync(new RunOffered(_run.RunId, _run.Spec), cancellationToken).ConfigureAwait(false);
            await Task.Delay(_prepared ? _services.Options.ReofferInterval : _services.Options.OfferInterval, _services.Time, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task DealAsync(CancellationToken cancellationToken) =>
        await _dealing.RunAsync(await _facts.Task.WaitAsync(cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);

    /// <summary>Carries out a status that is final: tells the services, and records the end after the last event.</summary>
    private async Task EndAsync(CancellationToken cancellationToken)
    {
        var run = await _services.Store.FindAsync(_run.RunId, cancellationToken).ConfigureAwait(false);
        if (run is null || run.IsActive)
        {
            return;
        }

        // Whatever the end is, nobody is to work on the run any more, whether it heard of the end or took the run up meanwhile.
        await _services.Control.PublishAsync(new RunCancelled(run.RunId), cancellationToken).ConfigureAwait(false);
        Volatile.Write(ref _lastEvent, _services.Time.GetTimestamp());
        await SettleAsync(cancellationToken).ConfigureAwait(false);
        if (run.Status == RunStatus.Finished)
        {
            await _services.Ledger.DeleteAsync(run.RunId, cancellationToken).ConfigureAwait(false);
            await _services.Queues.DeleteRunAsync(run.RunId, RunClients.Names(run) ?? [], cancellationToken).ConfigureAwait(false);
        }

        var word = run.Status switch
        {
            RunStatus.Finished => "finished",
            RunStatus.Cancelled => "interrupted",
            _ => "failed",
        };
        await AppendAsync(new RunEndedEvent(Now, word, (Now - run.Started).TotalSeconds, run.Reason), cancellationToken).ConfigureAwait(false);
        await _services.Store.CloseAsync(run.RunId, cancellationToken).ConfigureAwait(false);
        _logger.LogInformation("Run {Run}: {Status}", run.RunId, word);
    }

    /// <summary>Kinds of events come on ways of their own; the run's end must not overtake the last step.</summary>
    private async Task SettleAsync(CancellationToken cancellationToken)
    {
        while (_services.Time.GetElapsedTime(Volatile.Read(ref _lastEvent)) is var quiet && quiet < _services.Options.SettleTime)
        {
            await Task.Delay(_services.Options.SettleTime - quiet + TimeSpan.FromMilliseconds(1), _services.Time, cancellationToken).ConfigureAwait(false);
        }
    }

    private Subscriptions Subscribe()
    {
        var subscriptions = new Subscriptions();
        subscriptions.Add(new RunEventSubscription(_services.Control, _run.RunId, _services.Time, RecordAsync));
        On<RunPrepared>(PreparedAsync);
        On<RunFinished>((_, _) => Done(_finished.TrySetResult()));
        On<RunFailed>((failure, _) => Done(_failed.TrySetResult(failure.Reason)));
        On<AdapterExported>((_, _) => Done(_exported.TrySetResult()));
        return subscriptions;

        void On<TMessage>(Func<TMessage, CancellationToken, ValueTask> handle)
            where TMessage : class, IRunMessage =>
            subscriptions.Add(_services.Control.Subscribe<TMessage>((message, token) =>
                message.RunId == _run.RunId ? handle(message, token) : ValueTask.CompletedTask));

        static ValueTask Done(bool _) => ValueTask.CompletedTask;
    }

    private async ValueTask PreparedAsync(RunPrepared message, CancellationToken cancellationToken)
    {
        if (_facts.Task.IsCompletedSuccessfully && _facts.Task.Result.ModelFingerprint != message.Facts.ModelFingerprint)
        {
            var reason = $"Run '{_run.RunId}': trainer '{message.Trainer}' opened another base model than the run began with. Put that model back, or submit a new run.";
            await _services.Control.PublishAsync(new RunFailed(_run.RunId, reason), cancellationToken).ConfigureAwait(false);
            return;
        }

        await _services.Store.SetFactsAsync(_run.RunId, message.Facts, cancellationToken).ConfigureAwait(false);
        await _services.Store.TryChangeAsync(_run.RunId, [RunStatus.Pending], RunStatus.Running, null, cancellationToken).ConfigureAwait(false);
        _prepared = true;
        _facts.TrySetResult(message.Facts);
    }

    private async ValueTask RecordAsync(RunEvent happened, CancellationToken cancellationToken)
    {
        await AppendAsync(happened, cancellationToken).ConfigureAwait(false);
        switch (happened)
        {
            case RunPlannedEvent planned:
                await _services.Store.SetTotalStepsAsync(_run.RunId, planned.TotalSteps, cancellationToken).ConfigureAwait(false);
                break;
            case StepAppliedEvent applied:
                await _services.Store.SetStepAsync(_run.RunId, applied.Step + 1, cancellationToken).ConfigureAwait(false);
                break;
            case SamplesFailedEvent failed:
                await _services.Store.SetFailedSamplesAsync(_run.RunId, failed.FailedInRun, cancellationToken).ConfigureAwait(false);
                break;
            default:
                break;
        }
    }

    private async Task AppendAsync(RunEvent happened, CancellationToken cancellationToken)
    {
        await _services.Store.AppendEventAsync(_run.RunId, happened.ToJson(), cancellationToken).ConfigureAwait(false);
        Volatile.Write(ref _lastEvent, _services.Time.GetTimestamp());
    }
}
