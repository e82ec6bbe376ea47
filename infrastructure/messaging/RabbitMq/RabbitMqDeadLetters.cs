using System.Globalization;
using System.Text;
using RabbitMQ.Client;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>
/// The dead letters of all runs on the broker: bounded in number and bytes, the oldest goes first. Those that the services refused
/// carry their reason; those that the broker moved here by itself carry its word for it, such as <c>delivery_limit</c>.
/// </summary>
public sealed class RabbitMqDeadLetters : IDeadLetters, IDisposable
{
    private const int MaximumReason = 2048;

    private readonly RabbitMqConnection _connection;
    private readonly ConfirmingPublisher _publisher;
    private readonly RabbitMqTopology _topology;
    private readonly Address _address;
    private readonly SemaphoreSlim _looking = new(1, 1);

    internal RabbitMqDeadLetters(RabbitMqConnection connection, ConfirmingPublisher publisher, RabbitMqTopology topology)
    {
        _connection = connection;
        _publisher = publisher;
        _topology = topology;
        _address = new Address(RabbitMqTopology.DeadLetters, "", MessageQueue.DeadLetters, topology.DeclareDeadLettersAsync);
    }

    /// <summary>Reads the oldest letters and leaves them where they are.</summary>
    /// <param name="maximum">Most letters.</param>
    /// <param name="cancellationToken">Gives up waiting.</param>
    public Task<IReadOnlyList<DeadLetter>> PeekAsync(int maximum, CancellationToken cancellationToken) => CollectAsync(maximum, remove: false, cancellationToken);

    /// <summary>Reads the oldest letters and removes them.</summary>
    /// <param name="maximum">Most letters.</param>
    /// <param name="cancellationToken">Gives up waiting; then nothing is removed.</param>
    public Task<IReadOnlyList<DeadLetter>> TakeAsync(int maximum, CancellationToken cancellationToken) => CollectAsync(maximum, remove: true, cancellationToken);

    /// <inheritdoc/>
    /// <remarks>
    /// A queue is read from its oldest on, so all letters pass by here, one body at a time. Who looks while another does would find
    /// only what that one has not read: within a process one waits for the other.
    /// </remarks>
    public async Task<IReadOnlyList<DeadLetterSummary>> NewestAsync(int maximum, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maximum);
        var newest = new Queue<DeadLetterSummary>();
        await _looking.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            // As many as the queue may hold: what is added meanwhile must not make this one endless.
            await ReadAsync(_topology.MaximumDeadLetters, remove: false, Keep, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _looking.Release();
        }

        return [.. newest.Reverse()];

        void Keep(BasicGetResult got)
        {
            newest.Enqueue(Summary(got));
            if (newest.Count > maximum)
            {
                newest.Dequeue();
            }
        }
    }

    /// <inheritdoc/>
    public async Task<long> PurgeAsync(CancellationToken cancellationToken)
    {
        var channel = await _connection.OpenChannelAsync(null, cancellationToken).ConfigureAwait(false);
        await using (channel.ConfigureAwait(false))
        {
            await _topology.DeclareDeadLettersAsync(channel, cancellationToken).ConfigureAwait(false);
            var count = await channel.QueuePurgeAsync(RabbitMqTopology.DeadLetters, cancellationToken).ConfigureAwait(false);
            await channel.CloseAsync(cancellationToken).ConfigureAwait(false);
            return count;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _looking.Dispose();

    internal async Task AddAsync(string runId, string clientId, string reason, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        // All headers travel in one frame of the protocol, which is 128 KiB at most.
        var shortened = reason.Length <= MaximumReason ? reason : reason[..MaximumReason] + "…";
        var headers = new Dictionary<string, object?> { [Headers.Reason] = shortened, [Headers.Run] = runId, [Headers.Client] = clientId };
        if (await _publisher.PublishAsync(_address, "application/octet-stream", headers, body, cancellationToken).ConfigureAwait(false) != PublishOutcome.Confirmed)
        {
            // The queue drops its oldest when it is full; so the broker itself is in trouble.
            throw new IOException("The broker did not take a dead letter.");
        }
    }

    private async Task<IReadOnlyList<DeadLetter>> CollectAsync(int maximum, bool remove, CancellationToken cancellationToken)
    {
        var letters = new List<DeadLetter>();
        await ReadAsync(maximum, remove, got => letters.Add(Letter(got)), cancellationToken).ConfigureAwait(false);
        return letters;
    }

    private async Task ReadAsync(int maximum, bool remove, Action<BasicGetResult> read, CancellationToken cancellationToken)
    {
        var channel = await _connection.OpenChannelAsync(null, cancellationToken).ConfigureAwait(false);

        // What was read and not acknowledged returns to its place when the channel closes.
        await using (channel.ConfigureAwait(false))
        {
            await _topology.DeclareDeadLettersAsync(channel, cancellationToken).ConfigureAwait(false);
            ulong last = 0;
            for (var count = 0; count < maximum
                && await channel.BasicGetAsync(RabbitMqTopology.DeadLetters, autoAck: false, cancellationToken).ConfigureAwait(false) is { } got; count++)
            {
                read(got);
                last = got.DeliveryTag;
            }

            if (remove && last > 0)
            {
                await channel.BasicAckAsync(last, multiple: true, cancellationToken).ConfigureAwait(false);
            }

            await channel.CloseAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private static DeadLetter Letter(BasicGetResult got)
    {
        var (runId, clientId, reason, _) = Summary(got);
        return new DeadLetter(runId, clientId, reason, got.Body.ToArray());
    }

    private static DeadLetterSummary Summary(BasicGetResult got)
    {
        var headers = got.BasicProperties.Headers;
        if (Text(headers, Headers.Reason) is { } reason)
        {
            return new DeadLetterSummary(Text(headers, Headers.Run) ?? "", Text(headers, Headers.Client) ?? "", reason, got.Body.Length);
        }

        var (runId, clientId) = RabbitMqTopology.Parse(Text(headers, "x-first-death-queue") ?? "");
        return new DeadLetterSummary(runId, clientId, Text(headers, "x-first-death-reason") ?? "unknown", got.Body.Length);
    }

    private static string? Text(IDictionary<string, object?>? headers, string name) => headers?.TryGetValue(name, out var value) == true
        ? value is byte[] bytes ? Encoding.UTF8.GetString(bytes) : Convert.ToString(value, CultureInfo.InvariantCulture)
        : null;
}

/// <summary>Names of the message headers.</summary>
internal static class Headers
{
    public const string Reason = "splitfrozen-reason";
    public const string Run = "splitfrozen-run";
    public const string Client = "splitfrozen-client";
    public const string Message = "splitfrozen-message";
    public const string Transfer = "splitfrozen-transfer";
    public const string Frame = "splitfrozen-frame";
    public const string Frames = "splitfrozen-frames";
    public const string Checksum = "splitfrozen-checksum";

    public static readonly IReadOnlyDictionary<string, object?> None = new Dictionary<string, object?>();
}
