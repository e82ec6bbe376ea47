using System.ComponentModel.DataAnnotations;
using System.Text.RegularExpressions;
using SplitFrozen.Contracts.Security;

namespace SplitFrozen.Messaging.ControlBus;

/// <summary>How a process takes part in the control plane over a broker. Checked as a whole by <see cref="Check"/>.</summary>
public sealed partial record ControlBusOptions
{
    /// <summary>The broker: <c>amqp://user:password@host:port/virtual-host</c>, or <c>amqps</c> for TLS.</summary>
    public required string ConnectionString { get; init; }

    /// <summary>Whom a connection over TLS believes.</summary>
    public CertificateTrust Trust { get; init; } = CertificateTrust.OfMachine;

    /// <summary>Who this is, for example <c>trainer</c>; part of its queues' names. Lower-case letters, digits and '-'.</summary>
    public required string ProcessName { get; init; }

    /// <summary>
    /// How long a subscription's queue outlives its consumer, so that a cut connection or a restarted broker loses nothing and
    /// a dead process leaves nothing behind. At least 10 seconds.
    /// </summary>
    public TimeSpan QueueExpiration { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Most bytes that one subscription's queue holds; then publishing waits for it. At least 1 MiB.</summary>
    public long QueueBytes { get; init; } = 256L << 20;

    /// <summary>Most bytes of one message with its envelope; the default is the limit of current brokers.</summary>
    public int MessageBytes { get; init; } = 16 << 20;

    /// <summary>Messages in a subscriber's hands at once; they are handled one at a time whatever this is.</summary>
    public int Prefetch { get; init; } = 16;

    /// <summary>How often a message is handled again after its handler threw; 0 for never.</summary>
    public int RetryCount { get; init; } = 3;

    /// <summary>Wait before the first retry; each further one waits about twice as long.</summary>
    public TimeSpan RetryInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Longest wait between two retries.</summary>
    public TimeSpan RetryMaximumInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Silence after which both sides take the connection for lost.</summary>
    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long to look for the broker at the start.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long a message is offered to a broker that is away or refuses it.</summary>
    public TimeSpan PublishTimeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>How long the end of a subscription, or of the whole plane, may take; what is left then expires on the broker.</summary>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The bounded queue that takes what no handler could handle, of all processes.</summary>
    public string ErrorQueue { get; init; } = "splitfrozen.control.errors";

    /// <summary>Most bytes of the error queue; the oldest messages make room.</summary>
    public long ErrorQueueBytes { get; init; } = 64L << 20;

    /// <summary>Subscriptions that one connection takes, one after another; then the next one takes over.</summary>
    public int EndpointsPerBus { get; init; } = 256;

    /// <summary>Checks all settings.</summary>
    /// <exception cref="ValidationException">Lists every fault with the name of its setting.</exception>
    public void Check()
    {
        var faults = new List<string>();
        Need(IsBroker(ConnectionString), nameof(ConnectionString), "must be an amqp:// or amqps:// address with a host");
        Need(ProcessName is not null && ProcessNames().IsMatch(ProcessName), nameof(ProcessName), "must be 1 to 60 of a-z, 0-9 and '-'");
        Need(ErrorQueue is not null && QueueNames().IsMatch(ErrorQueue), nameof(ErrorQueue), "must be 1 to 120 letters, digits, '.', '-' or '_'");
        Need(QueueExpiration >= TimeSpan.FromSeconds(10), nameof(QueueExpiration), "must be at least 10 s");
        Need(QueueBytes >= 1 << 20, nameof(QueueBytes), "must be at least 1 MiB");
        Need(ErrorQueueBytes >= 1 << 20, nameof(ErrorQueueBytes), "must be at least 1 MiB");
        Need(MessageBytes >= 1 << 10, nameof(MessageBytes), "must be at least 1 KiB");
        Need(Prefetch is >= 1 and <= 1000, nameof(Prefetch), "must lie in 1..1000");
        Need(EndpointsPerBus >= 1, nameof(EndpointsPerBus), "must be at least 1");
        Need(RetryCount is >= 0 and <= 20, nameof(RetryCount), "must lie in 0..20");
        Need(RetryInterval > TimeSpan.Zero, nameof(RetryInterval), "must be positive");
        Need(RetryMaximumInterval >= RetryInterval, nameof(RetryMaximumInterval), $"must not be less than {nameof(RetryInterval)}");
        Need(StartTimeout > TimeSpan.Zero, nameof(StartTimeout), "must be positive");
        Need(PublishTimeout > TimeSpan.Zero, nameof(PublishTimeout), "must be positive");
        Need(StopTimeout > TimeSpan.Zero, nameof(StopTimeout), "must be positive");
        if (faults.Count > 0)
        {
            throw new ValidationException(string.Join(" ", faults));
        }

        void Need(bool holds, string name, string rule)
        {
            if (!holds)
            {
                faults.Add($"{nameof(ControlBusOptions)}.{name} {rule}.");
            }
        }
    }

    /// <summary>The address without the password, for messages and logs.</summary>
    internal string Broker => Uri.TryCreate(ConnectionString, UriKind.Absolute, out var uri) ? $"{uri.Scheme}://{uri.Authority}{uri.AbsolutePath}" : "?";

    /// <summary>Without the password, which must not reach a log.</summary>
    public override string ToString() => $"{nameof(ControlBusOptions)} {{ Broker = {Broker}, ProcessName = {ProcessName} }}";

    private static bool IsBroker(string? text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "amqp" or "amqps" && uri.Host.Length > 0;

    [GeneratedRegex("^[a-z0-9-]{1,60}$", RegexOptions.ExplicitCapture)]
    private static partial Regex ProcessNames();

    [GeneratedRegex("^[A-Za-z0-9._-]{1,120}$", RegexOptions.ExplicitCapture)]
    private static partial Regex QueueNames();
}
