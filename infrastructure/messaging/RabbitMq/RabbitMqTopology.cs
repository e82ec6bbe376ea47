using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>
/// The one place that names and declares what the data plane uses on the broker. Every queue is bounded with
/// <c>reject-publish</c> and serves one consumer at a time; all but those between stages are durable and have a dead-letter exchange.
/// </summary>
public sealed class RabbitMqTopology(RabbitMqOptions options)
{
    /// <summary>
    /// Topic exchange of the activation messages; routing key <c>{run}.{client}</c>. A topic exchange, though no pattern is ever bound, because
    /// only there can the broker hold a device to keys of its own.
    /// </summary>
    public const string ActivationExchange = "splitfrozen.activations";

    /// <summary>Direct exchange of the step messages; routing key <c>{run}</c>.</summary>
    public const string StepExchange = "splitfrozen.steps";

    /// <summary>Fanout exchange of what was refused, and the queue behind it.</summary>
    public const string DeadLetters = "splitfrozen.dead-letters";

    private const int MostStageMessages = 8192;

    /// <summary>Most letters that the dead-letter queue keeps.</summary>
    internal int MaximumDeadLetters => options.MaximumDeadLetters;

    /// <summary>Name of a client's queue.</summary>
    public static string ActivationQueue(string runId, string clientId) => $"{ActivationExchange}.{ActivationKey(runId, clientId)}";

    /// <summary>Name of a run's step queue.</summary>
    public static string StepQueue(string runId) => $"{StepExchange}.{StepKey(runId)}";

    /// <summary>Name of the queue of a member of a pipeline of trainers; messages reach it by the default exchange.</summary>
    public static string StageQueue(StageAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return $"splitfrozen.stages.{Escape(address.RunId)}.{address.Session}.{address.Member}";
    }

    /// <summary>Run and client of an activation queue by its name; the run alone of a step queue; empty strings for any other.</summary>
    public static (string RunId, string ClientId) Parse(string queue)
    {
        if (queue.StartsWith(StepExchange + ".", StringComparison.Ordinal))
        {
            return (Unescape(queue[(StepExchange.Length + 1)..]), "");
        }

        var parts = queue.StartsWith(ActivationExchange + ".", StringComparison.Ordinal) ? queue[(ActivationExchange.Length + 1)..].Split('.', 2) : [];
        return parts.Length == 2 ? (Unescape(parts[0]), parts[1]) : ("", "");
    }

    internal static string ActivationKey(string runId, string clientId) => $"{Escape(runId)}.{clientId}";

    internal static string StepKey(string runId) => Escape(runId);

    internal async Task DeclareActivationsAsync(IChannel channel, string runId, string clientId, CancellationToken cancellationToken)
    {
        var queue = ActivationQueue(runId, clientId);
        await DeclareDeadLettersAsync(channel, cancellationToken).ConfigureAwait(false);
        await channel.ExchangeDeclareAsync(ActivationExchange, ExchangeType.Topic, durable: true, cancellationToken: cancellationToken).ConfigureAwait(false);
        await DeclareAsync(channel, queue, Bounded(options.MaximumQueueMessages, options.MaximumQueueBytes), cancellationToken).ConfigureAwait(false);
        await channel.QueueBindAsync(queue, ActivationExchange, ActivationKey(runId, clientId), cancellationToken: cancellationToken).ConfigureAwait(false);
    }

    internal async Task DeclareStepsAsync(IChannel channel, string runId, CancellationToken cancellationToken)
    {
        var queue = StepQueue(runId);
        await DeclareDeadLettersAsync(channel, cancellationToken).ConfigureAwait(false);
        await channel.ExchangeDeclareAsync(StepExchange, ExchangeType.Direct, durable: true, cancellationToken: cancellationToken).ConfigureAwait(false);
        await DeclareAsync(channel, queue, Bounded(options.MaximumWaitingSteps), cancellationToken).ConfigureAwait(false);
        await channel.QueueBindAsync(queue, StepExchange, StepKey(runId), cancellationToken: cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// The dead-letter queue is classic whatever the other queues are: looking at letters delivers and returns them, which a
    /// quorum queue counts until it drops them.
    /// </summary>
    internal async Task DeclareDeadLettersAsync(IChannel channel, CancellationToken cancellationToken)
    {
        var arguments = new Dictionary<string, object?>
        {
            ["x-queue-type"] = "classic", ["x-overflow"] = "drop-head", ["x-max-length"] = options.MaximumDeadLetters, ["x-max-length-bytes"] = options.DeadLetterBytes,
        };
        await channel.ExchangeDeclareAsync(DeadLetters, ExchangeType.Fanout, durable: true, cancellationToken: cancellationToken).ConfigureAwait(false);
        await DeclareAsync(channel, DeadLetters, arguments, cancellationToken).ConfigureAwait(false);
        await channel.QueueBindAsync(DeadLetters, DeadLetters, "", cancellationToken: cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The queue between stages: exclusive, so that it goes with the connection that declares it, and nobody else can read it.</summary>
    internal static async Task<string> DeclareStageAsync(IChannel channel, StageAddress address, long bytes, CancellationToken cancellationToken)
    {
        var queue = StageQueue(address);
        var arguments = new Dictionary<string, object?>
        {
            ["x-queue-type"] = "classic", ["x-overflow"] = "reject-publish", ["x-max-length"] = MostStageMessages, ["x-max-length-bytes"] = bytes,
        };
        await channel.QueueDeclareAsync(queue, durable: false, exclusive: true, autoDelete: true, arguments, cancellationToken: cancellationToken).ConfigureAwait(false);
        return queue;
    }

    /// <summary>Deletes the queues of a run with all that is in them; exchanges and dead letters stay.</summary>
    internal static async Task DeleteRunAsync(IChannel channel, string runId, IEnumerable<string> clientIds, CancellationToken cancellationToken)
    {
        foreach (var queue in clientIds.Select(clientId => ActivationQueue(runId, clientId)).Append(StepQueue(runId)))
        {
            await channel.QueueDeleteAsync(queue, ifUnused: false, ifEmpty: false, cancellationToken: cancellationToken).ConfigureAwait(false);
        }
    }

    private Dictionary<string, object?> Bounded(int messages, long? bytes = null)
    {
        var arguments = new Dictionary<string, object?>
        {
            ["x-queue-type"] = options.QueueKind == QueueKind.Quorum ? "quorum" : "classic",
            ["x-overflow"] = "reject-publish",
            ["x-dead-letter-exchange"] = DeadLetters,
            ["x-single-active-consumer"] = true,
            ["x-max-length"] = messages,
        };
        if (bytes is { } most)
        {
            arguments["x-max-length-bytes"] = most;
        }

        return arguments;
    }

    /// <summary>Declares a durable queue.</summary>
    /// <exception cref="InvalidOperationException">It exists with other settings.</exception>
    internal static async Task DeclareAsync(IChannel channel, string queue, Dictionary<string, object?> arguments, CancellationToken cancellationToken)
    {
        try
        {
            await channel.QueueDeclareAsync(queue, durable: true, exclusive: false, autoDelete: false, arguments, cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        catch (OperationInterruptedException exception) when (RabbitMqFailures.HasCode(exception, Constants.PreconditionFailed))
        {
            throw new InvalidOperationException(
                $"Queue '{queue}' exists with other settings: give all processes of the run the same broker options, or delete the queue. {exception.Message}", exception);
        }
    }

    // A dot within the run's name would let the queues of two runs collide.
    private static string Escape(string runId) => Uri.EscapeDataString(runId).Replace(".", "%2E", StringComparison.Ordinal);

    private static string Unescape(string escaped) => Uri.UnescapeDataString(escaped);
}
