using Microsoft.AspNetCore.Http.HttpResults;
using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Coordinator.Access;
using SplitFrozen.Messaging;

namespace SplitFrozen.Coordinator.Api;

/// <summary>What only an administrator may do: delete runs, and look at what was refused.</summary>
internal static partial class AdminApi
{
    /// <summary>Most dead letters in one answer.</summary>
    public const int MaximumDeadLetters = 200;

    /// <summary>Maps the routes.</summary>
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapDelete("/api/runs/{id}", DeleteRunAsync).Needs(ApiRole.Admin).WithTags("runs").WithSummary("Deletes a run that has ended with all that it left.");
        var letters = routes.MapGroup("/api").WithTags("dead letters");
        letters.MapGet("dead-letters", NewestAsync).Needs(ApiRole.Admin).WithSummary($"The newest messages that were refused, without their bodies; at most {MaximumDeadLetters}.");
        letters.MapDelete("dead-letters", PurgeAsync).Needs(ApiRole.Admin).WithSummary("Deletes all messages that were refused.");
    }

    private static async Task<Results<NoContent, NotFound<RequestRefused>, Conflict<RequestRefused>>> DeleteRunAsync(
        string id, HttpContext context, RedisRunStore store, RunRemoval removal, ILogger<RunRemoval> logger, CancellationToken cancellationToken)
    {
        if (await store.FindAsync(id, cancellationToken).ConfigureAwait(false) is not { } run)
        {
            return HttpApi.UnknownRun(id);
        }

        if (run.IsActive || !await removal.TryDeleteAsync(run, cancellationToken).ConfigureAwait(false))
        {
            return HttpApi.Refused(run.IsActive
                ? $"Run '{id}' is {HttpApi.Word(run.Status)}; cancel it first: only a run that has ended can be deleted."
                : $"Run '{id}' is still stopping; try again in a moment.");
        }

        LogDeleted(logger, run.RunId, context.User.Identity?.Name);
        return TypedResults.NoContent();
    }

    private static async Task<Ok<DeadLetterSummary[]>> NewestAsync(IDeadLetters letters, CancellationToken cancellationToken) =>
        TypedResults.Ok((await letters.NewestAsync(MaximumDeadLetters, cancellationToken).ConfigureAwait(false)).ToArray());

    private static async Task<Ok<DeadLettersPurged>> PurgeAsync(HttpContext context, IDeadLetters letters, ILogger<RunRemoval> logger, CancellationToken cancellationToken)
    {
        var count = await letters.PurgeAsync(cancellationToken).ConfigureAwait(false);
        LogPurged(logger, count, context.User.Identity?.Name);
        return TypedResults.Ok(new DeadLettersPurged(count));
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Run {Run} is deleted, by the token {Token}")]
    private static partial void LogDeleted(ILogger logger, string run, string? token);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Count} dead letters are deleted, by the token {Token}")]
    private static partial void LogPurged(ILogger logger, long count, string? token);
}
