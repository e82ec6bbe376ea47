using System.Diagnostics;
using System.Threading.Channels;
using Microsoft.Extensions.Logging.Abstractions;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;
using SplitFrozen.Messaging.ControlBus;
using SplitFrozen.Messaging.RabbitMq;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.TestServers;

namespace SplitFrozen.Bench;

/// <summary>
/// Plays the device workers and the trainer of one run to a coordinator's process, over broker and control plane as they
/// would, from a <see cref="Recording"/> and without a model.
/// </summary>
internal sealed class PlayedRun : IAsyncDisposable
{
    private const string Name = "bench";
    private const int Publishers = 4;
    private const int BatchSize = 32;
    private const int StepsPerCheckpoint = 50;

    private readonly Recording _recording;
    private readonly MassTransitControlPlane _control;
    private readonly RabbitMqDataPlane _data;
    private readonly Polly.ResiliencePipeline<PublishOutcome> _untilConfirmed = Backoff.While<PublishOutcome>(
        outcome => outcome == PublishOutcome.QueueFull, TimeProvider.System, jitterSeed: 1);

    private readonly Channel<WorkAssigned> _work = Channel.CreateUnbounded<WorkAssigned>();
    private readonly Subscriptions _subscriptions = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _planned = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Fleet _fleet;
    private readonly string[] _clients;
    private readonly Dictionary<string, ClientShare[]> _dealt = [];
    private TaskCompletionSource _ingested = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _missing = long.MaxValue;
    private Task _parts = Task.CompletedTask;
    private long _sent;
    private long _taken;

    private PlayedRun(Recording recording, MassTransitControlPlane control, RabbitMqDataPlane data, Fleet fleet)
    {
        (_recording, _control, _data, _fleet) = (recording, control, data, fleet);
        _clients = fleet.Clients;
    }

    /// <summary>The run's id.</summary>
    public string RunId { get; private set; } = "";

    /// <summary>Messages that were sent because the coordinator had asked for their samples.</summary>
    public long Sent => Interlocked.Read(ref _sent);

    /// <summary>Samples that the coordinator has told to have taken in.</summary>
    public long Taken => Interlocked.Read(ref _taken);

    /// <summary>Submits a run and plays it up to its plan: all clients have registered, and the coordinator reads all their queues.</summary>
    public static async Task<PlayedRun> StartAsync(Cluster cluster, Recording recording, Fleet fleet, CancellationToken cancellationToken)
    {
        var control = await MassTransitControlPlane.StartAsync(
            new ControlBusOptions { ConnectionString = cluster.Broker.ConnectionString, ProcessName = Name },
            NullLoggerFactory.Instance, TimeProvider.System, cancellationToken).ConfigureAwait(false);
        var data = new RabbitMqDataPlane(
            new RabbitMqOptions { ConnectionString = cluster.Broker.ConnectionString, QueueKind = QueueKind.Classic },
            new RabbitMqResilience(
                Backoff.OnFailure(RabbitMqFailures.IsPassing, TimeProvider.System, 1),
                Backoff.While<PublishOutcome>(outcome => outcome == PublishOutcome.QueueFull, TimeProvider.System, 1)),
            TimeProvider.System);
        var run = new PlayedRun(recording, control, data, fleet);
        run.Subscribe();
        run.RunId = await cluster.SubmitAsync(run.Spec(), cancellationToken).ConfigureAwait(false);
        run._parts = Task.WhenAll([run.BeatAsync(), .. Enumerable.Range(0, Publishers).Select(_ => run.WorkAsync())]);
        await run.UntilAsync(run._planned.Task, cancellationToken).ConfigureAwait(false);
        await run.UntilConsumedAsync(cluster.Broker.ConnectionString, cancellationToken).ConfigureAwait(false);
        return run;
    }

    /// <summary>Rows of a client, one after another.</summary>
    public IEnumerable<int> Rows(int client) => _fleet.Rows(client);

    /// <summary>Publishes bodies as devices do, and waits until they are taken in.</summary>
    /// <param name="bodies">Bodies with the index of their client.</param>
    /// <param name="samples">Samples in all of them.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>Time from the first publish to the last acknowledgement.</returns>
    public async Task<TimeSpan> SendAsync(IReadOnlyList<(int Client, byte[] Body)> bodies, long samples, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        var ingested = IngestedAsync(samples, cancellationToken);
        await Task.WhenAll(Enumerable.Range(0, Publishers).Select(async publisher =>
        {
            for (var i = publisher; i < bodies.Count; i += Publishers)
            {
                await PublishAsync(_clients[bodies[i].Client], bodies[i].Body, cancellationToken).ConfigureAwait(false);
            }
        })).ConfigureAwait(false);
        await ingested.ConfigureAwait(false);
        return clock.Elapsed;
    }

    /// <summary>Publishes all rows of all clients unasked, a body of each client after another.</summary>
    public async Task PublishAllAsync(int samplesPerBody, int publishers, CancellationToken cancellationToken)
    {
        var turns = _fleet.RowsOf.Max() / samplesPerBody;
        var places = Enumerable.Range(0, turns).SelectMany(turn => Enumerable.Range(0, _clients.Length).Select(client => (turn, client)));
        await Parallel.ForEachAsync(
            places,
            new ParallelOptions { MaxDegreeOfParallelism = publishers, CancellationToken = cancellationToken },
            async (place, token) =>
            {
                int[] rows = [.. Rows(place.client).Skip(place.turn * samplesPerBody).Take(samplesPerBody)];
                if (rows.Length > 0)
                {
                    await PublishAsync(_clients[place.client], _recording.Body(RunId, place.client, [.. rows.Select(SampleId.Training)]), token).ConfigureAwait(false);
                }
            }).ConfigureAwait(false);
    }

    /// <summary>Messages that wait in every client's queue, once the coordinator's end has given back what it held.</summary>
    public async Task<long[]> WaitingAsync(string broker, CancellationToken cancellationToken)
    {
        var connection = await new ConnectionFactory { Uri = new Uri(broker) }.CreateConnectionAsync(cancellationToken).ConfigureAwait(false);
        await using var ownedConnection = connection.ConfigureAwait(false);
        var channel = await connection.CreateChannelAsync(cancellationToken: cancellationToken).ConfigureAwait(false);
        await using var ownedChannel = channel.ConfigureAwait(false);
        var waiting = new long[_clients.Length];
        for (var client = 0; client < waiting.Length; client++)
        {
            QueueDeclareOk queue;
            while ((queue = await channel.QueueDeclarePassiveAsync(RabbitMqTopology.ActivationQueue(RunId, _clients[client]), cancellationToken).ConfigureAwait(false)).ConsumerCount > 0)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(50), cancellationToken).ConfigureAwait(false);
            }

            waiting[client] = queue.MessageCount;
        }

        return waiting;
    }

    /// <summary>From now on counts what is taken in; completes when the coordinator has acknowledged that many samples.</summary>
    public Task IngestedAsync(long samples, CancellationToken cancellationToken)
    {
        _ingested = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Volatile.Write(ref _missing, samples);
        return UntilAsync(_ingested.Task, cancellationToken);
    }

    /// <summary>Plays the trainer from the first step to the last: applies every step at once.</summary>
    public async Task TrainAsync(CancellationToken cancellationToken)
    {
        await _control.PublishAsync(new TrainerReady(RunId, Name, 0, 0, []), cancellationToken).ConfigureAwait(false);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stop.Token);
        await foreach (var delivery in _data.ReceiveAsync(RunId, stop.Token).ConfigureAwait(false))
        {
            var step = delivery.Step;
            await _control.PublishAsync(
                new StepApplied(RunId, step.Sequence, step.Epoch, step.Step, 1, 1, 1, [.. step.Samples.Select(sample => sample.Id)], 1, TimeSpan.Zero, TimeSpan.Zero),
                stop.Token).ConfigureAwait(false);
            if (step.Sequence % StepsPerCheckpoint == 0)
            {
                await _control.PublishAsync(new CheckpointWritten(RunId, step.Sequence, step.Step + 1), stop.Token).ConfigureAwait(false);
            }

            await delivery.AcknowledgeAsync(stop.Token).ConfigureAwait(false);
            if (step.Sequence == step.SequenceCount - 1)
            {
                await _control.PublishAsync(new RunFinished(RunId, step.TotalSteps), stop.Token).ConfigureAwait(false);
                await _control.PublishAsync(new AdapterExported(RunId, []), stop.Token).ConfigureAwait(false);
                return;
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _parts.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _subscriptions.Dispose();
        await _control.DisposeAsync().ConfigureAwait(false);
        await _data.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    private void Subscribe()
    {
        var facts = new RunFacts(_recording.Fingerprint, _recording.Width, LabelsPerToken: false, _recording.LabelBound, ["no", "yes"], 0.001, 1 << 20, 1 << 20);
        On<RunOffered>(async (_, token) => await _control.PublishAsync(new RunPrepared(RunId, Name, facts), token).ConfigureAwait(false));
        On<ClientsAssigned>(DealtAsync, _fleet.Devices);
        On<CoordinatorReady>(async (_, token) => await RegisterAllAsync(token).ConfigureAwait(false));
        On<RunPlanned>((_, _) => Done(_planned.TrySetResult()));
        On<RunFailed>((message, _) => Done(_failed.TrySetException(new InvalidOperationException(message.Reason))));
        On<WorkAssigned>((message, _) => Done(_work.Writer.TryWrite(message)), _clients);
        On<ActivationsIngested>((message, _) =>
        {
            Interlocked.Add(ref _taken, message.Samples);
            return Done(Interlocked.Add(ref _missing, -message.Samples) <= 0 && _ingested.TrySetResult());
        });

        void On<TMessage>(Func<TMessage, CancellationToken, ValueTask> handle, params IReadOnlyCollection<string> addresses)
            where TMessage : class, IRunMessage =>
            _subscriptions.Add(_control.Subscribe<TMessage>(
                (message, token) => message.RunId == RunId ? handle(message, token) : ValueTask.CompletedTask, addresses));

        static ValueTask Done(bool _) => ValueTask.CompletedTask;
    }

    private RunSpec Spec() => new()
    {
        Name = Name,
        Model = new ModelSpec { Path = Name, Boundary = _recording.Cut },
        Lora = new LoraSpec { Targets = ["c_attn"] },
        Task = new TaskSpec { Kind = "sst2", Train = "bench.tsv", Evaluation = "bench.tsv" },
        Clients = new ClientsSpec { Count = _clients.Length },
        Training = new TrainingSpec { BatchSize = BatchSize },
    };

    private async ValueTask DealtAsync(ClientsAssigned message, CancellationToken cancellationToken)
    {
        lock (_dealt)
        {
            _dealt[message.Device] = message.Clients;
        }

        await RegisterAsync(message.Device, message.Clients, cancellationToken).ConfigureAwait(false);
    }

    private async Task RegisterAllAsync(CancellationToken cancellationToken)
    {
        KeyValuePair<string, ClientShare[]>[] all;
        lock (_dealt)
        {
            all = [.. _dealt];
        }

        foreach (var (device, clients) in all)
        {
            await RegisterAsync(device, clients, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task RegisterAsync(string device, ClientShare[] clients, CancellationToken cancellationToken)
    {
        foreach (var client in clients.Select(share => share.ClientId))
        {
            ManifestEntry[] manifest = ClientNames.IndexOf(client) is { } index ? _recording.Manifest(RunId, Rows(index)) : [];
            await _control.PublishAsync(new ClientRegistered(RunId, client, device, _recording.Fingerprint, _recording.Cut, manifest, null), cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Durably, confirmed, again and later where the queue is full.</summary>
    private async Task PublishAsync(string clientId, ReadOnlyMemory<byte> body, CancellationToken cancellationToken) =>
        await _untilConfirmed.ExecuteAsync(
            async token => await _data.PublishAsync(RunId, clientId, body, token).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);

    private async Task BeatAsync()
    {
        // As device workers do by default.
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(2));
        do
        {
            foreach (var device in _fleet.Devices)
            {
                await _control.PublishAsync(new DeviceAlive(device, device, new DeviceProfile(1000, 1L << 40, 1e9), Leaving: false), _stop.Token).ConfigureAwait(false);
            }
        }
        while (await timer.WaitForNextTickAsync(_stop.Token).ConfigureAwait(false));
    }

    private async Task WorkAsync()
    {
        await foreach (var work in _work.Reader.ReadAllAsync(_stop.Token).ConfigureAwait(false))
        {
            var body = _recording.Body(RunId, work.ClientId, work.Samples);
            await PublishAsync(work.ClientId, body, _stop.Token).ConfigureAwait(false);
            Interlocked.Increment(ref _sent);
            await _control.PublishAsync(
                new DeviceProgress(RunId, work.ClientId, work.Samples.Length, 1, 1, body.Length, TimeSpan.Zero), _stop.Token).ConfigureAwait(false);
            await _control.PublishAsync(new WorkFinished(RunId, work.ClientId, work.Sequence), _stop.Token).ConfigureAwait(false);
        }
    }

    /// <summary>Waits until the coordinator's consumers are on all queues.</summary>
    private async Task UntilConsumedAsync(string broker, CancellationToken cancellationToken)
    {
        var connection = await new ConnectionFactory { Uri = new Uri(broker) }.CreateConnectionAsync(cancellationToken).ConfigureAwait(false);
        await using (connection.ConfigureAwait(false))
        {
            foreach (var queue in _clients.Select(client => RabbitMqTopology.ActivationQueue(RunId, client)))
            {
                while (!await IsConsumedAsync(connection, queue, cancellationToken).ConfigureAwait(false))
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(50), cancellationToken).ConfigureAwait(false);
                }
            }
        }
    }

    private static async Task<bool> IsConsumedAsync(IConnection connection, string queue, CancellationToken cancellationToken)
    {
        var channel = await connection.CreateChannelAsync(cancellationToken: cancellationToken).ConfigureAwait(false);
        await using (channel.ConfigureAwait(false))
        {
            try
            {
                return (await channel.QueueDeclarePassiveAsync(queue, cancellationToken).ConfigureAwait(false)).ConsumerCount > 0;
            }
            catch (OperationInterruptedException)
            {
                // There is no such queue yet.
                return false;
            }
        }
    }

    /// <summary>Waits, and throws when the run fails or a part of this player does.</summary>
    private async Task UntilAsync(Task task, CancellationToken cancellationToken)
    {
        var first = await Task.WhenAny(task, _failed.Task, _parts).WaitAsync(cancellationToken).ConfigureAwait(false);
        await first.ConfigureAwait(false);
    }
}
