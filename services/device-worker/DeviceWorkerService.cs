using System.Diagnostics;
using System.IO.Hashing;
using System.Text;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Polly;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;
using SplitFrozen.Models;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Tasks;
using SplitFrozen.Torch;

namespace SplitFrozen.DeviceWorker;

/// <summary>
/// Serves one or more clients on a device: registers them, and answers work with the hidden states of their samples at
/// their cut. It runs the frozen blocks forward only. Two messages at most wait to be sent while the next is computed; when
/// a queue is full it backs off. Clients of different cuts share one loaded model.
/// </summary>
public sealed class DeviceWorkerService
{
    private const int MessagesAhead = 2;

    private static readonly Comparer<WorkAssigned> NeededFirst = Comparer<WorkAssigned>.Create(
        (left, right) => (left.NeededAt, left.Sequence).CompareTo((right.NeededAt, right.Sequence)));

    private readonly DeviceWorkerOptions _options;
    private readonly ModelFolder _model;
    private readonly IControlPlane _control;
    private readonly IActivationPublisher _publisher;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly string _instance = Guid.NewGuid().ToString("N");
    private readonly AssignmentLog _assignments = new();
    private readonly Dictionary<string, ServedClient> _clients;

    /// <summary>Makes the worker.</summary>
    /// <param name="options">The run and its clients.</param>
    /// <param name="model">The base model; stays open while the worker runs, and is not disposed.</param>
    /// <param name="control">Registration, work, progress.</param>
    /// <param name="publisher">Takes the activation messages.</param>
    /// <param name="time">Clock of measurements and delays.</param>
    /// <param name="logger">Log.</param>
    /// <exception cref="ArgumentException">No client, a client twice, or a bound below 1.</exception>
    public DeviceWorkerService(
        DeviceWorkerOptions options, ModelFolder model, IControlPlane control, IActivationPublisher publisher, TimeProvider time, ILogger<DeviceWorkerService> logger)
    {
        if (options.Clients.Count == 0 || options.MicroBatch < 1 || options.MessageBytes < 1)
        {
            throw new ArgumentException("A device worker serves at least one client, in micro-batches and messages of at least 1.", nameof(options));
        }

        _options = options;
        _model = model;
        _control = control;
        _publisher = publisher;
        _time = time;
        _logger = logger;
        _clients = options.Clients.ToDictionary(client => client.ClientId, client => new ServedClient(client));
    }

    /// <summary>
    /// Serves until the run has finished or failed, or the caller cancels; then it returns. What was being computed is lost
    /// and asked again later. On a fault of its own it publishes <see cref="RunFailed"/> and throws.
    /// </summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            await ServeAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            _logger.LogInformation("The device worker stops");
        }
        catch (Exception exception)
        {
            await _control.PublishAsync(new RunFailed(_options.RunId, exception.Message), CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    private async Task ServeAsync(CancellationToken cancellationToken)
    {
        // Unbounded, but the coordinator bounds what it asks of a client and has not received.
        var work = Channel.CreateUnboundedPrioritized(new UnboundedPrioritizedChannelOptions<WorkAssigned> { SingleReader = true, Comparer = NeededFirst });
        var outbox = Channel.CreateBounded<object>(new BoundedChannelOptions(MessagesAhead) { SingleReader = true, SingleWriter = true });
        using var compute = new ComputeThread("device", _options.Threads);

        // The blocks are loaded while the files' fingerprint is taken and the clients register: the first work finds them ready.
        var opening = compute.RunAsync(Open, CancellationToken.None);
        try
        {
            var registrations = await Task.Run(Registrations, cancellationToken).ConfigureAwait(false);
            var runEnded = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            using var subscriptions = Subscribe(work.Writer, registrations, runEnded);
            await RegisterAsync(registrations, cancellationToken).ConfigureAwait(false);
            await ServiceTasks.RunAsync(
                runEnded.Task.WaitAsync,
                [token => ComputeAsync(compute, opening, work.Reader, outbox.Writer, token), token => PublishAsync(outbox.Reader, token)],
                cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            await ((Task)opening).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (opening.IsCompletedSuccessfully)
            {
                opening.Result.Dispose();
            }
        }
    }

    private async Task ComputeAsync(
        ComputeThread compute, Task<FrozenEncoder> opening, ChannelReader<WorkAssigned> work, ChannelWriter<object> outbox, CancellationToken cancellationToken)
    {
        var encoder = await opening.WaitAsync(cancellationToken).ConfigureAwait(false);
        await foreach (var assignment in work.ReadAllAsync(cancellationToken).ConfigureAwait(false))
        {
            if (_assignments.IsFinished(assignment))
            {
                await outbox.WriteAsync(Finished(assignment), cancellationToken).ConfigureAwait(false);
                continue;
            }

            var client = _clients[assignment.ClientId];
            var packer = new MessagePacker(
                client.Client, _options.RunId, _model.Fingerprint, encoder.Width, _options.WireType, _options.MessageBytes);
            foreach (var microBatch in Known(client, assignment).Chunk(_options.MicroBatch))
            {
                var computed = await compute.RunAsync(() => Encode(encoder, client.Client.Cut, microBatch), cancellationToken).ConfigureAwait(false);
                foreach (var sample in computed)
                {
                    await SendAsync(outbox, packer.Add(sample), cancellationToken).ConfigureAwait(false);
                }
            }

            await SendAsync(outbox, packer.Close(), cancellationToken).ConfigureAwait(false);
            await outbox.WriteAsync(Finished(assignment), cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Runs on the compute thread. One token goes through, so that the first sample does not wait for kernels to be found and compiled; what only
    /// the start needed is given back before activations take their place.
    /// </summary>
    private FrozenEncoder Open()
    {
        var encoder = FrozenEncoder.Open(_model, _options.Clients.Max(client => client.Cut));
        try
        {
            using var layout = new SequenceLayout([1]);
            using var hidden = encoder.Encode([0], layout);
            using var rows = HiddenStateCodec.EncodeRows(hidden, _options.WireType);
        }
        catch
        {
            encoder.Dispose();
            throw;
        }

        ProgramPages.Release();
        return encoder;
    }

    private IEnumerable<EncodedSample> Known(ServedClient client, WorkAssigned assignment)
    {
        foreach (var id in assignment.Samples)
        {
            if (client.Samples.TryGetValue(id, out var sample))
            {
                yield return sample;
            }
            else
            {
                _logger.LogWarning("Client {Client} was asked for sample {Sample}, which it does not hold", assignment.ClientId, id);
            }
        }
    }

    /// <summary>Runs on the compute thread.</summary>
    private ComputedSample[] Encode(FrozenEncoder encoder, int cut, EncodedSample[] samples)
    {
        var (started, startTime) = (_time.GetTimestamp(), _time.GetUtcNow());
        using var layout = new SequenceLayout(Array.ConvertAll(samples, sample => sample.Tokens.Length));
        using var hidden = encoder.Encode([.. samples.SelectMany(sample => sample.Tokens)], layout, cut);
        using var rows = HiddenStateCodec.EncodeRows(hidden, _options.WireType);
        var perToken = _time.GetElapsedTime(started) / layout.Tokens;
        var finished = _time.GetUtcNow();
        var computed = new ComputedSample[samples.Length];
        var row = 0;
        for (var i = 0; i < samples.Length; i++)
        {
            var length = samples[i].Tokens.Length;
            computed[i] = new ComputedSample(samples[i], rows.Slice(row, length), perToken * length, startTime, finished);
            row += length;
        }

        return computed;
    }

    private static async Task SendAsync(ChannelWriter<object> outbox, PackedBatch? packed, CancellationToken cancellationToken)
    {
        if (packed is not null)
        {
            await outbox.WriteAsync(packed, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task PublishAsync(ChannelReader<object> outbox, CancellationToken cancellationToken)
    {
        // What is sent from here on belongs to no message that once began the run.
        Activity.Current = null;
        var untilConfirmed = Backoff.While<PublishOutcome>(
            outcome => outcome == PublishOutcome.QueueFull, _time, XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(_instance)));
        await foreach (var item in outbox.ReadAllAsync(cancellationToken).ConfigureAwait(false))
        {
            if (item is PackedBatch packed)
            {
                await PublishAsync(packed, untilConfirmed, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                var finished = (WorkFinished)item;
                await _control.PublishAsync(finished, cancellationToken).ConfigureAwait(false);
                _assignments.Finish(finished);
            }
        }
    }

    private async Task PublishAsync(PackedBatch packed, ResiliencePipeline<PublishOutcome> untilConfirmed, CancellationToken cancellationToken)
    {
        using var activity = DeviceTelemetry.StartBatch(packed);
        var batch = packed.Batch;
        var body = Body(packed);
        await untilConfirmed.ExecuteAsync(
            async token => await _publisher.PublishAsync(_options.RunId, batch.ClientId, body, token).ConfigureAwait(false),
            cancellationToken).ConfigureAwait(false);
        DeviceTelemetry.Sent(packed);
        var flops = FrozenEncoder.ForwardFlops(_model.Config, batch.Cut, batch.Lengths);
        await _control.PublishAsync(
            new DeviceProgress(_options.RunId, batch.ClientId, batch.Lengths.Length, batch.Tokens, flops, body.Length, packed.ComputeTime),
            cancellationToken).ConfigureAwait(false);
    }

    private static byte[] Body(PackedBatch packed)
    {
        var batch = packed.Batch;
        try
        {
            return packed.MakeBody();
        }
        catch (ArgumentException exception)
        {
            throw new InvalidOperationException(
                $"Client '{batch.ClientId}' cannot send the hidden states of samples {string.Join(", ", batch.SampleIds.Take(3))}… as {batch.WireType.Name()}: "
                + $"{exception.Message} If they overflow, set device.wire_type to bf16 or f32.",
                exception);
        }
    }

    /// <summary>The coordinator tells an assignment again when it has heard nothing for a while: what is in hand is done once, and what is done is said again.</summary>
    private void Take(ChannelWriter<WorkAssigned> work, WorkAssigned assignment)
    {
        if (_assignments.TryTake(assignment))
        {
            work.TryWrite(assignment);
        }
    }

    private WorkFinished Finished(WorkAssigned assignment) => new(_options.RunId, assignment.ClientId, assignment.Sequence);

    private ClientRegistered[] Registrations() =>
    [
        .. _options.Clients.Select(client => new ClientRegistered(
            _options.RunId,
            client.ClientId,
            _instance,
            _model.Fingerprint,
            client.Cut,
            [.. client.Samples.Select(sample => new ManifestEntry(sample.Id, sample.Tokens.Length, sample.Digest))],
            client.Profile)),
    ];

    private async Task RegisterAsync(ClientRegistered[] registrations, CancellationToken cancellationToken)
    {
        foreach (var registration in registrations)
        {
            await _control.PublishAsync(registration, cancellationToken).ConfigureAwait(false);
        }
    }

    private Subscriptions Subscribe(ChannelWriter<WorkAssigned> work, ClientRegistered[] registrations, TaskCompletionSource runEnded)
    {
        var subscriptions = new Subscriptions();
        subscriptions.Add(_control.Subscribe<WorkAssigned>(
            (assignment, _) =>
            {
                if (assignment.RunId == _options.RunId)
                {
                    Take(work, assignment);
                }

                return ValueTask.CompletedTask;
            },
            _clients.Keys));
        On<CoordinatorReady>(async (_, token) => await RegisterAsync(registrations, token).ConfigureAwait(false));
        On<RunFinished>((_, _) => End());
        On<RunFailed>((_, _) => End());
        return subscriptions;

        ValueTask End()
        {
            runEnded.TrySetResult();
            return ValueTask.CompletedTask;
        }

        void On<TMessage>(Func<TMessage, CancellationToken, ValueTask> handle)
            where TMessage : class, IRunMessage
            => subscriptions.Add(_control.Subscribe<TMessage>((message, token) => message.RunId == _options.RunId ? handle(message, token) : ValueTask.CompletedTask));
    }

    private sealed class ServedClient(DeviceClient client)
    {
        public DeviceClient Client { get; } = client;

        public Dictionary<SampleId, EncodedSample> Samples { get; } = client.Samples.ToDictionary(sample => sample.Id);
    }
}
