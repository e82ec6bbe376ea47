using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Coordinator.Access;
using SplitFrozen.Coordinator.Devices;
using SplitFrozen.Coordinator.Hosting;

namespace SplitFrozen.Coordinator.Api;

/// <summary>
/// The routes of <see cref="ClusterApi"/>. They read and write the store only, so that a standby serves them as well; the active coordinator
/// finds in the store what it is to do.
/// </summary>
internal static class HttpApi
{
    // A null where the spec has a text is a fault of the request, with a place, and not one of the server.
    private static readonly JsonSerializerOptions s_strict = new(ClusterApi.Json) { RespectNullableAnnotations = true };

    /// <summary>Maps the routes.</summary>
    public static void Map(IEndpointRouteBuilder routes)
    {
        var runs = routes.MapGroup("/api").WithTags("runs");
        runs.MapPost("runs", SubmitAsync).Needs(ApiRole.Submit).Accepts<RunSpec>("application/json").WithSummary("Submits a run.")
            .Produces<RequestRefused>(StatusCodes.Status413PayloadTooLarge);
        runs.MapGet("runs", ListAsync).Needs(ApiRole.Read).WithSummary("All runs, the newest first.");
        runs.MapGet("runs/{id}", FindAsync).Needs(ApiRole.Read).WithSummary("A run with everything known of it.");
        runs.MapPost("runs/{id}/cancel", CancelAsync).Needs(ApiRole.Submit).WithSummary("Stops a run, with a checkpoint.");
        runs.MapPost("runs/{id}/resume", ResumeAsync).Needs(ApiRole.Submit).WithSummary("Goes on with a cancelled or failed run.");
        runs.MapGet("runs/{id}/events", EventsAsync).Needs(ApiRole.Read).WithMetadata(RequestLimits.EventStream).WithSummary("The run's events, as server-sent events.")
            .Produces<string>(StatusCodes.Status200OK, "text/event-stream");
        runs.MapGet("runs/{id}/artifacts/{name}", ArtifactAsync).Needs(ApiRole.Read).WithSummary("A file that the run left behind.")
            .Produces<byte[]>(StatusCodes.Status200OK, "application/octet-stream");
        routes.MapGet("/api/devices", DevicesAsync).Needs(ApiRole.Read).WithTags("devices").WithSummary("The device workers.");
    }

    private static async Task<Results<Created<RunAccepted>, BadRequest<RequestRefused>, JsonHttpResult<RequestRefused>>> SubmitAsync(
        HttpRequest request, RedisRunStore store, CancellationToken cancellationToken)
    {
        RunSpec? spec;
        try
        {
            spec = await JsonSerializer.DeserializeAsync<RunSpec>(request.Body, s_strict, cancellationToken).ConfigureAwait(false);
        }
        catch (JsonException exception)
        {
            return TypedResults.BadRequest(new RequestRefused([$"{Place(exception)}: {exception.Message}"]));
        }
        catch (BadHttpRequestException exception) when (exception.StatusCode == StatusCodes.Status413PayloadTooLarge)
        {
            return TypedResults.Json(
                new RequestRefused([$"The run spec has more than {CoordinatorHostExtensions.MaximumBodyBytes} bytes."]), statusCode: exception.StatusCode);
        }

        if (spec is null)
        {
            return TypedResults.BadRequest(new RequestRefused(["The body is null; expected a run spec."]));
        }

        // Whether files exist is not for this machine to say: trainer and devices open them.
        var faults = RunSpecValidator.Validate(spec, _ => true, _ => true);
        if (faults.Count > 0)
        {
            return TypedResults.BadRequest(new RequestRefused([.. faults.Select(fault => fault.ToString())]));
        }

        var runId = $"{spec.Name}-{Guid.NewGuid().ToString("N")[..8]}";
        await store.CreateAsync(runId, spec, cancellationToken).ConfigureAwait(false);
        return TypedResults.Created($"/api/runs/{runId}", new RunAccepted(runId));
    }

    private static async Task<Ok<RunSummary[]>> ListAsync(RedisRunStore store, CancellationToken cancellationToken) =>
        TypedResults.Ok((await store.ListAsync(cancellationToken).ConfigureAwait(false)).Select(run => run.Summary).ToArray());

    private static async Task<Results<Ok<RunDetail>, NotFound<RequestRefused>>> FindAsync(
        string id, RedisRunStore store, RedisArtifactStore artifacts, CoordinatorHostOptions options, CancellationToken cancellationToken) =>
        await store.FindAsync(id, cancellationToken).ConfigureAwait(false) is { } run
            ? TypedResults.Ok(new RunDetail(
                run.Summary, run.Spec, run.Facts, run.Clients, await artifacts.ListAsync(id, cancellationToken).ConfigureAwait(false), options.TraceUrlOf(id)))
            : UnknownRun(id);

    private static async Task<Results<Ok<RunSummary>, NotFound<RequestRefused>, Conflict<RequestRefused>>> CancelAsync(
        string id, RedisRunStore store, CancellationToken cancellationToken)
    {
        var changed = await store.TryChangeAsync(id, [RunStatus.Pending, RunStatus.Running], RunStatus.Cancelled, null, cancellationToken).ConfigureAwait(false);
        return await store.FindAsync(id, cancellationToken).ConfigureAwait(false) switch
        {
            null => UnknownRun(id),
            { } run when changed => TypedResults.Ok(run.Summary),
            { } run => Refused($"Run '{id}' is {Word(run.Status)}; only a pending or running one can be cancelled."),
        };
    }

    private static async Task<Results<Ok<RunSummary>, NotFound<RequestRefused>, Conflict<RequestRefused>>> ResumeAsync(
        string id, RedisRunStore store, CancellationToken cancellationToken)
    {
        var changed = await store.TryResumeAsync(id, cancellationToken).ConfigureAwait(false);
        return await store.FindAsync(id, cancellationToken).ConfigureAwait(false) switch
        {
            null => UnknownRun(id),
            { } run when changed => TypedResults.Ok(run.Summary),
            { Status: RunStatus.Cancelled or RunStatus.Failed } => Refused($"Run '{id}' is still stopping; try again in a moment."),
            { } run => Refused($"Run '{id}' is {Word(run.Status)}; only a cancelled or failed one can be resumed."),
        };
    }

    private static async Task<Results<ServerSentEventsResult<string>, NotFound<RequestRefused>, BadRequest<RequestRefused>>> EventsAsync(
        string id, HttpContext context, EventStream stream, RedisRunStore store, CancellationToken cancellationToken)
    {
        if (await store.FindAsync(id, cancellationToken).ConfigureAwait(false) is null)
        {
            return UnknownRun(id);
        }

        var from = 0L;
        if (context.Request.Headers["Last-Event-ID"].ToString() is { Length: > 0 } last)
        {
            if (!long.TryParse(last, out var number) || number < 0)
            {
                return TypedResults.BadRequest(new RequestRefused([$"Last-Event-ID: found {last}; expected an event's number, from 0."]));
            }

            from = number + 1;
        }

        return TypedResults.ServerSentEvents(stream.ReadAsync(id, from, context.Response, context.RequestAborted));
    }

    private static async Task<Results<FileContentHttpResult, NotFound<RequestRefused>>> ArtifactAsync(
        string id, string name, RedisRunStore store, RedisArtifactStore artifacts, CancellationToken cancellationToken)
    {
        if (await store.FindAsync(id, cancellationToken).ConfigureAwait(false) is null)
        {
            return UnknownRun(id);
        }

        return await artifacts.FetchAsync(id, name, cancellationToken).ConfigureAwait(false) is { } bytes
            ? TypedResults.File(bytes, "application/octet-stream", name)
            : TypedResults.NotFound(new RequestRefused([$"Run '{id}' has no artifact '{name}'."]));
    }

    private static async Task<Ok<DeviceSummary[]>> DevicesAsync(DeviceRegistry devices, RedisRunStore store, CancellationToken cancellationToken)
    {
        var open = await store.ListOpenAsync(cancellationToken).ConfigureAwait(false);
        var clients = open.Where(run => run.IsActive)
            .SelectMany(run => run.Clients.Where(client => client.Device is not null).Select(client => (Device: client.Device!, Name: $"{run.RunId}/{client.ClientId}")))
            .ToLookup(client => client.Device, client => client.Name);
        return TypedResults.Ok(devices.Devices
            .Select(known => new DeviceSummary(known.Device, known.Instance, known.IsAlive, known.LastSeen, known.Profile, known.HasOwnData, [.. clients[known.Device]]))
            .ToArray());
    }

    /// <summary>There is no run of that id.</summary>
    public static NotFound<RequestRefused> UnknownRun(string id) => TypedResults.NotFound(new RequestRefused([$"There is no run '{id}'."]));

    /// <summary>The run is not where the request wants it.</summary>
    public static Conflict<RequestRefused> Refused(string reason) => TypedResults.Conflict(new RequestRefused([reason]));

    /// <summary>A status as the interface writes it.</summary>
    public static string Word(RunStatus status) => JsonNamingPolicy.SnakeCaseLower.ConvertName(status.ToString());

    /// <summary>The path of a JSON fault in the form that the validator uses.</summary>
    private static string Place(JsonException exception) =>
        exception.Path is { Length: > 2 } path ? path[2..] : "body";
}
