using System.Text.Json;
using System.Text.Json.Serialization;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Contracts.Api;

/// <summary>Where a run stands.</summary>
public enum RunStatus
{
    /// <summary>Submitted; no trainer has taken it yet.</summary>
    Pending,

    /// <summary>In work.</summary>
    Running,

    /// <summary>Done; its adapter can be downloaded.</summary>
    Finished,

    /// <summary>Stopped by a user, with a checkpoint; may be resumed.</summary>
    Cancelled,

    /// <summary>Stopped by a fault; the reason says what to do. May be resumed.</summary>
    Failed,
}

/// <summary>One run in a list.</summary>
/// <param name="RunId">Its id.</param>
/// <param name="Name">The spec's name.</param>
/// <param name="Status">Where it stands.</param>
/// <param name="Created">When it was submitted.</param>
/// <param name="Step">Optimiser steps applied.</param>
/// <param name="TotalSteps">Optimiser steps of the whole run; 0 before it is planned.</param>
/// <param name="FailedSamples">Samples that never arrived and that it goes on without.</param>
/// <param name="Reason">Why it failed; else null.</param>
public sealed record RunSummary(
    string RunId, string Name, RunStatus Status, DateTimeOffset Created, int Step, int TotalSteps, int FailedSamples, string? Reason);

/// <summary>One client of a run with the device that serves it and why it cuts where it does.</summary>
public sealed record RunClient(string ClientId, string? Device, int Cut, string CutReason);

/// <summary>A file that a run left behind.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Sha256">SHA-256 of its content in lower-case hex, as the trainer stored it; null for a file of a version that kept none.</param>
public sealed record RunArtifact(string Name, long Bytes, string? Sha256);

/// <summary>A run with everything known of it.</summary>
/// <param name="Summary">Where it stands.</param>
/// <param name="Spec">What was submitted.</param>
/// <param name="Facts">What the trainer found; null before one has taken it.</param>
/// <param name="Clients">Its clients and who serves them.</param>
/// <param name="Artifacts">Files that can be downloaded, by name.</param>
/// <param name="TraceUrl">Where its traces are looked at; null where no such address is configured.</param>
public sealed record RunDetail(
    RunSummary Summary, RunSpec Spec, RunFacts? Facts, IReadOnlyList<RunClient> Clients, IReadOnlyList<RunArtifact> Artifacts, string? TraceUrl = null);

/// <summary>A device worker as the coordinator knows it.</summary>
/// <param name="Device">Its name.</param>
/// <param name="Instance">Its present start.</param>
/// <param name="Alive">False when its lease has ended.</param>
/// <param name="LastSeen">Its last sign of life.</param>
/// <param name="Profile">What it can do.</param>
/// <param name="HasOwnData">Whether it holds training data of its own.</param>
/// <param name="Clients">Clients that it serves, as <c>run/client</c>.</param>
public sealed record DeviceSummary(
    string Device, string Instance, bool Alive, DateTimeOffset LastSeen, DeviceProfile Profile, bool HasOwnData, IReadOnlyList<string> Clients);

/// <summary>A message that was refused, without its body.</summary>
/// <param name="RunId">The run in whose queue it came; empty where the broker does not tell.</param>
/// <param name="ClientId">The client whose queue it was; empty for other queues.</param>
/// <param name="Reason">Why it was refused; the broker's word where the broker gave it up.</param>
/// <param name="Bytes">Size of its body.</param>
public sealed record DeadLetterSummary(string RunId, string ClientId, string Reason, long Bytes);

/// <summary>Dead letters were deleted.</summary>
/// <param name="Count">How many.</param>
public sealed record DeadLettersPurged(long Count);

/// <summary>A run was taken in.</summary>
public sealed record RunAccepted(string RunId);

/// <summary>A refused request: every fault, each naming its field.</summary>
public sealed record RequestRefused(IReadOnlyList<string> Errors);

/// <summary>
/// The HTTP interface of the coordinator: <c>POST /api/runs</c> (a <see cref="RunSpec"/>), <c>GET /api/runs</c>, <c>GET /api/runs/{id}</c>,
/// <c>POST /api/runs/{id}/cancel</c>, <c>POST /api/runs/{id}/resume</c>, <c>GET /api/runs/{id}/events</c> (server-sent events: the id is the
/// event's number from 0, the data a line of <see cref="Events.RunEvent"/>; <c>Last-Event-ID</c> goes on after it; the stream ends after
/// <c>run_ended</c>), <c>GET /api/runs/{id}/artifacts/{name}</c>, <c>DELETE /api/runs/{id}</c>, <c>GET /api/devices</c>,
/// <c>GET /api/dead-letters</c>, <c>DELETE /api/dead-letters</c>. Requests carry a token of <see cref="ApiToken"/> as <c>Authorization: Bearer</c>.
/// </summary>
public static class ClusterApi
{
    /// <summary>How bodies are written: snake case, enums as words, unknown fields refused.</summary>
    public static JsonSerializerOptions Json { get; } = Configure(new JsonSerializerOptions());

    /// <summary>Applies the form of <see cref="Json"/> to other options, such as those of the web server.</summary>
    public static JsonSerializerOptions Configure(JsonSerializerOptions options)
    {
        options.PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower;
        options.DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull;
        options.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
        options.Converters.Add(new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower));
        return options;
    }
}
