using System.ComponentModel.DataAnnotations;
using SplitFrozen.Contracts.Security;
using SplitFrozen.Messaging.RabbitMq;

namespace SplitFrozen.Transport;

/// <summary>Where broker and cache are, from the configuration section <c>Transport</c> (environment: <c>Transport__Broker</c>, …).</summary>
public sealed record TransportOptions : IValidatableObject
{
    /// <summary>Name of the configuration section.</summary>
    public const string Section = "Transport";

    /// <summary>RabbitMQ, for example <c>amqp://user:password@host:5672/</c>.</summary>
    [Required(ErrorMessage = "Transport__Broker is not set; for example amqp://user:password@host:5672/")]
    public string Broker { get; init; } = "";

    /// <summary>Redis, for example <c>host:6379,password=…</c>.</summary>
    [Required(ErrorMessage = "Transport__Redis is not set; for example host:6379")]
    public string Redis { get; init; } = "";

    /// <summary>File of the certificates, in PEM, that broker and cache are checked against over TLS; not set for the authorities of this machine.</summary>
    public string? CertificateAuthority { get; init; }

    /// <summary>Refuses an address of broker or cache that is not over TLS.</summary>
    public bool RequireTls { get; init; }

    /// <summary>Kind of the data queues: <c>Quorum</c> survives the loss of a broker node, <c>Classic</c> needs one node only.</summary>
    public QueueKind QueueKind { get; init; } = QueueKind.Quorum;

    /// <summary>Most bytes of one client's queue; a device waits when it is full.</summary>
    [Range(1L << 16, 1L << 40)]
    public long QueueBytes { get; init; } = 16L << 20;

    /// <summary>Most bytes of cached activations, over all runs.</summary>
    [Range(1L << 20, long.MaxValue)]
    public long CacheBytes { get; init; } = 8L << 30;

    /// <summary>Whom broker and cache are believed by over TLS.</summary>
    /// <exception cref="ValidationException">The file of <see cref="CertificateAuthority"/> holds no certificate.</exception>
    internal CertificateTrust Trust()
    {
        try
        {
            return CertificateTrust.OfFile(CertificateAuthority);
        }
        catch (FormatException exception)
        {
            throw new ValidationException($"Transport__CertificateAuthority: {exception.Message}", exception);
        }
    }

    /// <summary>Without the passwords in the addresses.</summary>
    public override string ToString() => $"{nameof(TransportOptions)} {{ QueueKind = {QueueKind}, RequireTls = {RequireTls} }}";

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (RequireTls && !Broker.StartsWith("amqps://", StringComparison.OrdinalIgnoreCase))
        {
            yield return new ValidationResult("Transport__RequireTls is set, and Transport__Broker is not over TLS: it begins with amqps://, at the broker's TLS port.", [nameof(Broker)]);
        }

        if (RequireTls && !Redis.Split(',').Any(part => part.Trim().Equals("ssl=true", StringComparison.OrdinalIgnoreCase)))
        {
            yield return new ValidationResult("Transport__RequireTls is set, and Transport__Redis is not over TLS: it has ssl=true, and names Redis' TLS port.", [nameof(Redis)]);
        }
    }
}
