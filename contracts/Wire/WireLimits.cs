namespace SplitFrozen.Contracts.Wire;

/// <summary>
/// What a receiver accepts. The first group bounds memory; the second is what the receiver knows about the run and may
/// leave null, which accepts any value.
/// </summary>
public sealed record WireLimits
{
    /// <summary>Most bytes of a body; RabbitMQ's default limit is 16 MiB too.</summary>
    public int MaximumBodyBytes { get; init; } = 16 << 20;

    /// <summary>Most bytes of the safetensors header.</summary>
    public int MaximumHeaderBytes { get; init; } = 64 << 10;

    /// <summary>Most samples in one batch.</summary>
    public int MaximumSamples { get; init; } = 1 << 16;

    /// <summary>Most tokens of one sample; the model's number of positions where it is known.</summary>
    public int MaximumTokensPerSample { get; init; } = 1 << 17;

    /// <summary>The run's id.</summary>
    public string? RunId { get; init; }

    /// <summary>The client, as the transport vouches for it.</summary>
    public string? ClientId { get; init; }

    /// <summary>Fingerprint of the server's model.</summary>
    public string? ModelFingerprint { get; init; }

    /// <summary>The client's cut.</summary>
    public int? Cut { get; init; }

    /// <summary>Hidden width of the model.</summary>
    public int? Width { get; init; }

    /// <summary>The run's wire type.</summary>
    public WireType? WireType { get; init; }

    /// <summary>Whether the run's labels are one per token.</summary>
    public bool? LabelsPerToken { get; init; }

    /// <summary>Exclusive upper bound of labels: the number of classes, or the vocabulary size.</summary>
    public int? LabelLimit { get; init; }
}
