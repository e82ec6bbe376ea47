using System.ComponentModel.DataAnnotations;
using SplitFrozen.Messaging.RabbitMq;

namespace SplitFrozen.Transport;

/// <summary>Where broker and cache are, from the configuration section <c>Transport</c> (environment: <c>Transport__Broker</c>, …).</summary>
public sealed record TransportOptions
{
    /// <summary>Name of the configuration section.</summary>
    public const string Section = "Transport";

    /// <summary>RabbitMQ, for example <c>amqp://user:password@host:5672/</c>.</summary>
    [Required(ErrorMessage = "Transport__Broker is not set; for example amqp://user:password@host:5672/")]
    public string Broker { get; init; } = "";

    /// <summary>Redis, for example <c>host:6379,password=…</c>.</summary>
    [Required(ErrorMessage = "Transport__Redis is not set; for example host:6379")]
    public string Redis { get; init; } = "";

    /// <summary>Kind of the data queues: <c>Quorum</c> survives the loss of a broker node, <c>Classic</c> needs one node only.</summary>
    public QueueKind QueueKind { get; init; } = QueueKind.Quorum;

    /// <summary>Most bytes of one client's queue; a device waits when it is full.</summary>
    [Range(1L << 16, 1L << 40)]
    public long QueueBytes { get; init; } = 16L << 20;

    /// <summary>Most bytes of cached activations, over all runs.</summary>
    [Range(1L << 20, long.MaxValue)]
    public long CacheBytes { get; init; } = 8L << 30;
}
