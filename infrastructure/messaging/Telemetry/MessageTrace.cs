using System.Diagnostics;

namespace SplitFrozen.Messaging.Telemetry;

/// <summary>Where a delivered message came from, for the span of its processing.</summary>
/// <param name="Queue">Its queue.</param>
/// <param name="MessageId">Its id, as its publisher chose it.</param>
/// <param name="Bytes">Size of its body; 0 where it has none.</param>
/// <param name="Parent">The span of its publish; default where it came with none, or with a bad one.</param>
public sealed record MessageTrace(MessageQueue Queue, string? MessageId, int Bytes, ActivityContext Parent)
{
    /// <summary>
    /// Starts the span of the message's processing, below that of its publish, and makes it the current one; without a publish span it begins a
    /// trace of its own. Null where nobody listens.
    /// </summary>
    /// <param name="samples">Samples in the message, where that is known already.</param>
    public Activity? StartProcess(int? samples = null) => MessagingTelemetry.StartProcess(this, samples);
}
