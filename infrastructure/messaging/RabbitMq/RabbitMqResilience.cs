using Polly;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>How the data plane tries again; the host builds both where its other retry policies are.</summary>
/// <param name="OnFailure">Repeats what failed for a reason that <see cref="RabbitMqFailures.IsPassing"/> accepts. Its last failure ends the publish or the subscription.</param>
/// <param name="WhileFull">Repeats a step publish while it ends with <see cref="PublishOutcome.QueueFull"/>.</param>
public sealed record RabbitMqResilience(ResiliencePipeline OnFailure, ResiliencePipeline<PublishOutcome> WhileFull);
