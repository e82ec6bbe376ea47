using SplitFrozen.Messaging.Devices;
using SplitFrozen.Messaging.RabbitMq;

namespace SplitFrozen.Messaging.Telemetry;

/// <summary>A queue as spans and metrics name it.</summary>
/// <param name="System"><c>messaging.system</c>.</param>
/// <param name="Template">Its name without the parts that differ between runs and clients: spans are named after it.</param>
/// <param name="Name">Its name.</param>
/// <param name="RunId">The run; empty for the dead letters of all.</param>
/// <param name="ClientId">The client, or null.</param>
public sealed record MessageQueue(string System, string Template, string Name, string RunId, string? ClientId)
{
    /// <summary><c>messaging.system</c> of the broker.</summary>
    internal const string RabbitMq = "rabbitmq";

    /// <summary><c>messaging.system</c> of the transport within one process.</summary>
    internal const string InProcess = "in_process";

    internal const string ActivationsTemplate = RabbitMqTopology.ActivationExchange + ".{run}.{client}";
    internal const string StepsTemplate = RabbitMqTopology.StepExchange + ".{run}";

    /// <summary>Name of the span of a publish.</summary>
    internal string PublishSpan { get; } = "publish " + Template;

    /// <summary>Name of the span of a message's processing.</summary>
    internal string ProcessSpan { get; } = "process " + Template;

    internal static MessageQueue Activations(string system, string runId, string clientId) =>
        new(system, ActivationsTemplate, RabbitMqTopology.ActivationQueue(runId, clientId), runId, clientId);

    internal static MessageQueue Steps(string system, string runId) =>
        new(system, StepsTemplate, RabbitMqTopology.StepQueue(runId), runId, ClientId: null);

    /// <summary>Between stages; every transfer has a span of the stage that makes it, so that the frames and the questions whether somebody is there have none.</summary>
    internal static MessageQueue Stages(StageAddress address) =>
        new(RabbitMq, "splitfrozen.stages.{run}.{session}.{member}", RabbitMqTopology.StageQueue(address), address.RunId, ClientId: null) { HasSpans = false };

    /// <summary>Whether its messages have spans.</summary>
    internal bool HasSpans { get; private init; } = true;

    /// <summary>What enrolled devices say, and what one of them is told: like the other control messages, they have no spans of the data plane.</summary>
    internal static MessageQueue Reports { get; } = new(RabbitMq, DeviceTopology.Reports, DeviceTopology.Reports, "", ClientId: null) { HasSpans = false };

    internal static MessageQueue Orders(string device) =>
        new(RabbitMq, "splitfrozen.devices.{device}", DeviceTopology.Queue(device), "", ClientId: null) { HasSpans = false };

    internal static MessageQueue DeadLetters { get; } = new(RabbitMq, RabbitMqTopology.DeadLetters, RabbitMqTopology.DeadLetters, "", ClientId: null);
}
