using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Polly;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Messaging.Devices;
using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>
/// The data plane over RabbitMQ: durable queues, confirmed publishing, deliveries that come again until they are settled.
/// It connects when it is first used, and goes on by itself after a lost connection. Publishing and consuming have a
/// connection each, so that a broker which blocks publishers still takes acknowledgements. Thread-safe.
/// </summary>
public sealed class RabbitMqDataPlane : IActivationPublisher, IActivationSource, IStepPublisher, IStepSource, IRunQueues, IAsyncDisposable
{
    private readonly RabbitMqOptions _options;
    private readonly RabbitMqResilience _resilience;
    private readonly RabbitMqTopology _topology;
    private readonly MessageInspector _inspector;
    private readonly TimeProvider _time;
    private readonly string _user;
    private readonly RabbitMqConnection _publishing;
    private readonly RabbitMqConnection _consuming;
    private readonly ConfirmingPublisher _publisher;
    private readonly ConfirmingPublisher _betweenStages;
    private readonly RabbitMqDeadLetters _deadLetters;

    /// <summary>Makes the data plane; nothing is sent yet.</summary>
    /// <param name="options">Where the broker is, and the bounds.</param>
    /// <param name="resilience">How to try again.</param>
    /// <param name="time">Clock of the messages' timestamps.</param>
    /// <exception cref="ValidationException">An option is out of its range.</exception>
    public RabbitMqDataPlane(RabbitMqOptions options, RabbitMqResilience resilience, TimeProvider time)
    {
        Validator.ValidateObject(options, new ValidationContext(options), validateAllProperties: true);
        var factory = RabbitMqConnection.Factory(options);
        _options = options;
        _resilience = resilience;
        _topology = new RabbitMqTopology(options);
        _time = time;
        _user = factory.UserName;
        _inspector = new MessageInspector(options, factory.UserName);
        _publishing = new RabbitMqConnection(factory, "splitfrozen publisher");
        _consuming = new RabbitMqConnection(factory, "splitfrozen consumer");
        _publisher = new ConfirmingPublisher(_publishing, factory.UserName, options.PublishWindow, resilience.OnFailure, time);
        _deadLetters = new RabbitMqDeadLetters(_consuming, _publisher, _topology);

        // What stages send each other is not sent again: a failure ends their session, and a new one begins at the checkpoint.
        _betweenStages = new ConfirmingPublisher(_publishing, factory.UserName, options.PublishWindow, ResiliencePipeline.Empty, time);
        Stages = new RabbitMqMailboxes(options, _consuming, _betweenStages, resilience, _inspector, _deadLetters);
    }

    /// <summary>Mailboxes of trainers that share a run's blocks.</summary>
    public IStageMailboxes Stages { get; }

    /// <summary>The refused messages.</summary>
    public RabbitMqDeadLetters DeadLetters => _deadLetters;

    /// <summary>The control plane of an enrolled device, over this connection.</summary>
    /// <param name="device">Its name, which is that of its login.</param>
    /// <param name="logger">Log.</param>
    public DeviceLink LinkDevice(string device, ILogger<DeviceLink> logger) => new(
        device, _consuming, new ConfirmingPublisher(_publishing, _user, _options.PublishWindow, _resilience.OnFailure, _time), _resilience, logger);

    /// <summary>Where enrolled devices meet the services.</summary>
    /// <param name="logger">Log.</param>
    public DeviceGateway OpenGateway(ILogger<DeviceGateway> logger) => new(_consuming, _deadLetters, _options, _resilience, _time, logger);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The body is larger than the whole queue or than the largest body.</exception>
    public Task<PublishOutcome> PublishAsync(string runId, string clientId, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        if (body.Length > Math.Min(_options.MaximumQueueBytes, _options.MaximumBodyBytes))
        {
            throw new ArgumentException(
                $"A message of {body.Length} bytes can never enter the queue of client '{clientId}', which holds {_options.MaximumQueueBytes}, in bodies of at most {_options.MaximumBodyBytes}: make messages smaller or the queue larger.",
                nameof(body));
        }

        var address = new Address(
            RabbitMqTopology.ActivationExchange,
            RabbitMqTopology.ActivationKey(runId, clientId),
            MessageQueue.Activations(MessageQueue.RabbitMq, runId, clientId),
            (channel, token) => _options.Declares ? _topology.DeclareActivationsAsync(channel, runId, clientId, token) : Task.CompletedTask);
        return _publisher.PublishAsync(address, "application/vnd.safetensors", Headers.None, body, cancellationToken);
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The queue exists with other settings.</exception>
    public async Task<IActivationSubscription> SubscribeAsync(string runId, string clientId, int prefetch, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(prefetch);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(prefetch, ushort.MaxValue);
        var setup = new ConsumerSetup<byte[]>(
            MessageQueue.Activations(MessageQueue.RabbitMq, runId, clientId),
            prefetch,
            (channel, token) => _topology.DeclareActivationsAsync(channel, runId, clientId, token),
            message => _inspector.Activation(clientId, message),
            BuryAsync);
        var consumer = await QueueConsumer<byte[]>.StartAsync(_consuming, setup, _resilience.OnFailure, cancellationToken).ConfigureAwait(false);
        return new RabbitMqActivationSubscription(clientId, consumer, BuryAsync);

        Task BuryAsync(string reason, ReadOnlyMemory<byte> body, CancellationToken token) => _deadLetters.AddAsync(runId, clientId, reason, body, token);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The message is larger than the largest body.</exception>
    public async Task PublishAsync(StepMessage step, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(step);
        var body = StepMessageJson.Encode(step);
        if (body.Length > _options.MaximumBodyBytes)
        {
            throw new ArgumentException($"Step message {step.Sequence} has {body.Length} bytes; at most {_options.MaximumBodyBytes} are sent.", nameof(step));
        }

        var address = new Address(
            RabbitMqTopology.StepExchange, RabbitMqTopology.StepKey(step.RunId), MessageQueue.Steps(MessageQueue.RabbitMq, step.RunId),
            (channel, token) => _topology.DeclareStepsAsync(channel, step.RunId, token));
        await _resilience.WhileFull.ExecuteAsync(
            async token => await _publisher.PublishAsync(address, StepMessageJson.ContentType, Headers.None, body, token).ConfigureAwait(false),
            cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Receives until cancelled or the queue is gone. While another receiver has the queue, this one waits for its end.</summary>
    /// <param name="runId">The run.</param>
    /// <param name="cancellationToken">Ends receiving; what was not acknowledged is delivered again.</param>
    public async IAsyncEnumerable<IStepDelivery> ReceiveAsync(string runId, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var setup = new ConsumerSetup<StepMessage>(
            MessageQueue.Steps(MessageQueue.RabbitMq, runId),
            _options.StepPrefetch,
            (channel, token) => _topology.DeclareStepsAsync(channel, runId, token),
            message => Step(runId, message),
            (reason, body, token) => _deadLetters.AddAsync(runId, "", reason, body, token));
        var consumer = await QueueConsumer<StepMessage>.StartAsync(_consuming, setup, _resilience.OnFailure, cancellationToken).ConfigureAwait(false);
        await using (consumer.ConfigureAwait(false))
        {
            while (await consumer.WaitAsync(cancellationToken).ConfigureAwait(false))
            {
                while (consumer.TryTake(out var delivery))
                {
                    yield return new StepDelivery(delivery!);
                }
            }
        }
    }

    /// <summary>Deletes the queues of a run with all that is in them: its subscriptions and receivers end. Dead letters stay.</summary>
    /// <param name="runId">The run.</param>
    /// <param name="clientIds">Its clients.</param>
    /// <param name="cancellationToken">Gives up waiting.</param>
    public async Task DeleteRunAsync(string runId, IReadOnlyCollection<string> clientIds, CancellationToken cancellationToken) =>
        await _resilience.OnFailure.ExecuteAsync(
            async token =>
            {
                var channel = await _consuming.OpenChannelAsync(null, token).ConfigureAwait(false);
                await using (channel.ConfigureAwait(false))
                {
                    await RabbitMqTopology.DeleteRunAsync(channel, runId, clientIds, token).ConfigureAwait(false);
                }
            },
            cancellationToken).ConfigureAwait(false);

    /// <summary>Closes the connections. What is not settled goes back to its queue.</summary>
    public async ValueTask DisposeAsync()
    {
        await _publisher.DisposeAsync().ConfigureAwait(false);
        await _betweenStages.DisposeAsync().ConfigureAwait(false);
        await _publishing.DisposeAsync().ConfigureAwait(false);
        await _consuming.DisposeAsync().ConfigureAwait(false);
        _deadLetters.Dispose();
    }

    private Inspection<StepMessage> Step(string runId, IncomingMessage message)
    {
        var (reason, kept) = _inspector.StepFault(message);
        if (reason is not null || !StepMessageJson.TryDecode(message.Body, out var step, out reason))
        {
            return Refused(reason, kept);
        }

        return step.RunId == runId
            ? new Inspection<StepMessage>(step, null)
            : Refused($"A step of run '{step.RunId}' came in the queue of run '{runId}'.", kept);

        Inspection<StepMessage> Refused(string? why, ReadOnlyMemory<byte> kept)
        {
            MessagingTelemetry.Refused(MessageQueue.StepsTemplate, "not_a_step");
            return new Inspection<StepMessage>(null, why, kept);
        }
    }

    private sealed class StepDelivery(QueueDelivery<StepMessage> delivery) : IStepDelivery
    {
        public StepMessage Step => delivery.Value;

        public MessageTrace Trace => delivery.Trace;

        public ValueTask AcknowledgeAsync(CancellationToken cancellationToken) => delivery.AcknowledgeAsync(cancellationToken);
    }
}
