using System.Net;
using Microsoft.AspNetCore.Http.HttpResults;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Coordinator.Access;

namespace SplitFrozen.Coordinator.Api;

/// <summary>Signing in at the dashboard: the browser keeps the token in a cookie that no script can read.</summary>
internal static partial class SessionApi
{
    /// <summary>Maps the routes.</summary>
    public static void Map(IEndpointRouteBuilder routes)
    {
        var session = routes.MapGroup("/api").WithTags("session");
        session.MapGet("session", Find).Needs(ApiRole.Read).WithSummary("Whose token this is, and its role.");
        session.MapPost("session", SignIn).AllowAnonymous().WithSummary("Signs a browser in: answers with a cookie that holds the token.");
        session.MapDelete("session", SignOut).AllowAnonymous().WithSummary("Signs a browser out.");
    }

    private static Ok<SessionInfo> Find(HttpContext context, TokenBook tokens) =>
        TypedResults.Ok(new SessionInfo(context.User.Identity!.Name!, Policies.RoleOf(context.User)!.Value, !tokens.IsNeeded));

    private static Results<Ok<SessionInfo>, JsonHttpResult<RequestRefused>> SignIn(SignIn request, HttpContext context, TokenBook tokens, ILogger<TokenBook> logger)
    {
        // The answer is not to tell whether the text could be a token at all.
        if (tokens.Find((request.Token ?? "").Trim()) is not { } known)
        {
            LogRefused(logger, context.Connection.RemoteIpAddress);
            return TypedResults.Json(new RequestRefused(["The token is not known here; ask whoever runs the coordinator for one."]), statusCode: StatusCodes.Status401Unauthorized);
        }

        context.Response.Cookies.Append(SessionCookie.Name(context.Request), request.Token!.Trim(), SessionCookie.Options(context.Request));
        LogSignedIn(logger, known.Name, context.Connection.RemoteIpAddress);
        return TypedResults.Ok(new SessionInfo(known.Name, known.Role, IsAnonymous: false));
    }

    private static NoContent SignOut(HttpContext context)
    {
        context.Response.Cookies.Delete(SessionCookie.Name(context.Request), SessionCookie.Options(context.Request));
        return TypedResults.NoContent();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Refused to sign in a browser: its token is not known; from {Address}")]
    private static partial void LogRefused(ILogger logger, IPAddress? address);

    [LoggerMessage(Level = LogLevel.Information, Message = "The token {Token} signed in a browser; from {Address}")]
    private static partial void LogSignedIn(ILogger logger, string token, IPAddress? address);
}
