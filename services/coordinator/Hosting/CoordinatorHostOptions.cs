using System.ComponentModel.DataAnnotations;
using SplitFrozen.Coordinator.Access;

namespace SplitFrozen.Coordinator.Hosting;

/// <summary>Settings of the coordinator's process, in the configuration section <c>Coordinator</c>.</summary>
public sealed class CoordinatorHostOptions
{
    /// <summary>Name of the configuration section.</summary>
    public const string Section = "Coordinator";

    /// <summary>How long the active coordinator's lease lasts when it is not extended.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "1.00:00:00")]
    public TimeSpan LeaseTime { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How often the lease is extended, and how often a standby asks for it; at most half of <see cref="LeaseTime"/>.</summary>
    [Range(typeof(TimeSpan), "00:00:00.01", "1.00:00:00")]
    public TimeSpan LeaseRenewal { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>How often the active coordinator looks for new, cancelled and resumed runs.</summary>
    [Range(typeof(TimeSpan), "00:00:00.01", "00:10:00")]
    public TimeSpan RunPoll { get; set; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How often a run is offered to trainers until one has taken it.</summary>
    [Range(typeof(TimeSpan), "00:00:00.01", "00:10:00")]
    public TimeSpan OfferInterval { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>How often a run that a trainer has taken is offered again, for the case that the trainer is gone.</summary>
    [Range(typeof(TimeSpan), "00:00:00.01", "01:00:00")]
    public TimeSpan ReofferInterval { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a device counts as alive after a sign of life.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "1.00:00:00")]
    public TimeSpan DeviceLease { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How often it is looked whether clients must be dealt anew.</summary>
    [Range(typeof(TimeSpan), "00:00:00.01", "00:10:00")]
    public TimeSpan DealInterval { get; set; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How long to listen for devices before clients are dealt for the first time, so that the first to speak does not get all.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:10:00")]
    public TimeSpan GatherTime { get; set; } = TimeSpan.FromMilliseconds(2500);

    /// <summary>
    /// How long a run waits for clients to register, and, when it stands still, for clients that no device serves; then it fails, or goes
    /// on without them, as its spec says.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "30.00:00:00")]
    public TimeSpan ClientDeadline { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>How long to wait for the adapter of a finished run before the trainer is asked for it again.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "01:00:00")]
    public TimeSpan ExportDeadline { get; set; } = TimeSpan.FromSeconds(15);

    /// <summary>A run's end is recorded when no event has come for this long, so that it is its last event.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:01:00")]
    public TimeSpan SettleTime { get; set; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How often an event stream looks for new events.</summary>
    [Range(typeof(TimeSpan), "00:00:00.01", "00:01:00")]
    public TimeSpan EventPoll { get; set; } = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// Address where a run's traces are looked at, with <c>RUN</c> in the place of its id, for example
    /// <c>http://localhost:16686/search?service=splitfrozen-coordinator&amp;tags={"splitfrozen.run":"RUN"}</c>; null shows no link.
    /// </summary>
    public string? TraceUrl { get; set; }

    /// <summary>Who may use the HTTP interface. With none, it serves everyone, on loopback addresses alone.</summary>
    public IList<TokenOptions> Tokens { get; } = [];

    /// <summary>Serves everyone on any address without a token: where something before it decides who gets there.</summary>
    public bool AllowAnonymous { get; set; }

    /// <summary>Requests per second of one token, or of one address where nobody needs a token, in the long run.</summary>
    [Range(1, 1_000_000)]
    public int RequestsPerSecond { get; set; } = 100;

    /// <summary>Requests of one caller at once, beyond which <see cref="RequestsPerSecond"/> holds.</summary>
    [Range(1, 1_000_000)]
    public int RequestBurst { get; set; } = 500;

    /// <summary>Requests per minute of one address without a token that is known.</summary>
    [Range(1, 1_000_000)]
    public int UnknownCallersPerMinute { get; set; } = 60;

    /// <summary>Most event streams at once.</summary>
    [Range(1, 1_000_000)]
    public int EventStreams { get; set; } = 512;

    /// <summary>Most event streams of one caller at once.</summary>
    [Range(1, 1_000_000)]
    public int EventStreamsPerCaller { get; set; } = 64;

    /// <summary>A run's address by <see cref="TraceUrl"/>; null where none is set.</summary>
    public string? TraceUrlOf(string runId) => TraceUrl?.Replace("RUN", Uri.EscapeDataString(runId), StringComparison.Ordinal);

    /// <summary>Whether <see cref="TraceUrl"/> is not set, or an absolute address that a browser may safely be led to.</summary>
    internal bool IsTraceUrlValid() =>
        TraceUrl is null || (Uri.TryCreate(TraceUrl, UriKind.Absolute, out var address) && (address.Scheme == Uri.UriSchemeHttp || address.Scheme == Uri.UriSchemeHttps));

    /// <summary>What is wrong with <see cref="Tokens"/>; the first fault, or null.</summary>
    internal string? TokenFault()
    {
        for (var i = 0; i < Tokens.Count; i++)
        {
            if (Tokens[i].Fault is { } fault)
            {
                return $"{Section}__Tokens__{i}: it {fault}.";
            }
        }

        return Tokens.GroupBy(token => token.Name, StringComparer.Ordinal).FirstOrDefault(same => same.Count() > 1) is { } twice
            ? $"{Section}__Tokens: two are called '{twice.Key}'; logs could not tell them apart."
            : null;
    }

    /// <summary>Why the interface must not be opened to whoever can reach it; null where it may.</summary>
    internal string? AccessFault(IConfiguration settings) =>
        Tokens.Count > 0 || AllowAnonymous || ListeningAddresses.OpenToOthers(settings) is not { Count: > 0 } open
            ? null
            : $"The HTTP interface would serve everyone who reaches {string.Join(" and ", open)}. Make a token with 'splitfrozen token create --name NAME --role admin' and set "
                + $"{Section}__Tokens__0__Name, {Section}__Tokens__0__Role and {Section}__Tokens__0__Sha256; or listen on this machine alone, for example "
                + $"ASPNETCORE_URLS=http://127.0.0.1:8080; or set {Section}__AllowAnonymous=true where something before it decides who gets there.";
}
