using System.ComponentModel.DataAnnotations;
using SplitFrozen.Contracts.Security;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>How the broker keeps a queue.</summary>
public enum QueueKind
{
    /// <summary>Replicated over the broker's nodes; its limits are soft: a few messages in flight may go beyond them.</summary>
    Quorum,

    /// <summary>On one node, with exact limits.</summary>
    Classic,
}

/// <summary>
/// Where the broker is and how much it holds. All processes of a run need the same values: the broker refuses a queue that
/// is declared twice with different ones.
/// </summary>
public sealed record RabbitMqOptions : IValidatableObject
{
    /// <summary>Address with user, password and virtual host, for example <c>amqp://user:secret@host:5672/vhost</c>; <c>amqps</c> for TLS.</summary>
    [Required]
    public required string ConnectionString { get; init; }

    /// <summary>Whom a connection over TLS believes.</summary>
    public CertificateTrust Trust { get; init; } = CertificateTrust.OfMachine;

    /// <summary>False for a login that may not declare anything: the coordinator makes what an enrolled device publishes to.</summary>
    public bool Declares { get; init; } = true;

    /// <summary>Kind of the activation and step queues.</summary>
    public QueueKind QueueKind { get; init; } = QueueKind.Quorum;

    /// <summary>
    /// Most body bytes that wait in one client's queue. Those in the coordinator's hands do not count: its prefetch bounds them.
    /// </summary>
    [Range(1, long.MaxValue)]
    public long MaximumQueueBytes { get; init; } = 16L << 20;

    /// <summary>Most messages that wait in one client's queue: tiny ones would fill the broker's memory long before their bytes count.</summary>
    [Range(1, int.MaxValue)]
    public int MaximumQueueMessages { get; init; } = 1024;

    /// <summary>Most publishes of this process that wait for their confirmation.</summary>
    [Range(1, 1024)]
    public int PublishWindow { get; init; } = 4;

    /// <summary>Most body bytes of dead letters; the oldest goes first.</summary>
    [Range(1, long.MaxValue)]
    public long DeadLetterBytes { get; init; } = 64L << 20;

    /// <summary>Most dead letters; the oldest goes first.</summary>
    [Range(1, int.MaxValue)]
    public int MaximumDeadLetters { get; init; } = 8192;

    /// <summary>Largest body that is published or taken in. The broker's own <c>max_message_size</c> should not be smaller.</summary>
    [Range(1, 128 << 20)]
    public int MaximumBodyBytes { get; init; } = 16 << 20;

    /// <summary>How often an activation message is delivered before it becomes a dead letter.</summary>
    [Range(1, int.MaxValue)]
    public int MaximumDeliveries { get; init; } = 5;

    /// <summary>Most step messages that wait for the trainer; those in its hands do not count, since it settles them only at a checkpoint.</summary>
    [Range(1, int.MaxValue)]
    public int MaximumWaitingSteps { get; init; } = 64;

    /// <summary>Most step messages in the trainer's hands: more than it gathers between two checkpoints.</summary>
    [Range(1, ushort.MaxValue)]
    public int StepPrefetch { get; init; } = 1024;

    /// <summary>Most body bytes that wait for one enrolled device, and most that wait of what all of them report.</summary>
    [Range(1L << 20, long.MaxValue)]
    public long DeviceQueueBytes { get; init; } = 64L << 20;

    /// <summary>Most body bytes that wait for one stage of a pipeline of trainers; the micro-batches of one step must fit in.</summary>
    [Range(1L << 20, long.MaxValue)]
    public long StageQueueBytes { get; init; } = 1L << 30;

    /// <summary>
    /// Broker users that may publish step messages, and activations of any client. Empty: the user of
    /// <see cref="ConnectionString"/>. Any other user publishes for clients named <c>user</c> or <c>user.*</c> only.
    /// </summary>
    [Required]
    public IReadOnlyCollection<string> TrustedUsers { get; init; } = [];

    /// <summary>Silence after which both sides take the connection for lost.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:10:00")]
    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Without the password, which must not reach a log.</summary>
    public override string ToString() => $"{nameof(RabbitMqOptions)} {{ QueueKind = {QueueKind} }}";

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (!Uri.TryCreate(ConnectionString, UriKind.Absolute, out var uri) || uri.Scheme is not ("amqp" or "amqps"))
        {
            // The value itself stays out of the message: it may hold a password.
            yield return new ValidationResult("ConnectionString must have the form amqp://user:password@host:port/vhost.", [nameof(ConnectionString)]);
        }
    }
}
