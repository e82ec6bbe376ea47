using System.Net;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Coordinator.Hosting;

namespace SplitFrozen.Coordinator.Access;

/// <summary>
/// Knows a caller by a token: in the header <c>Authorization: Bearer</c>, or in the cookie that the sign-in page sets, which holds the token itself,
/// so that every coordinator knows it and none has to remember anything. Where no tokens are configured, whoever is on this machine may do
/// everything, and elsewhere only where that is allowed. Says why it refuses, to the caller and to the log, and never the token.
/// </summary>
internal sealed partial class TokenHandler(
    IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory loggers, UrlEncoder encoder, TokenBook tokens, CoordinatorHostOptions settings)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, loggers, encoder)
{
    /// <summary>Name of the scheme.</summary>
    public const string SchemeName = "Token";

    private const string Bearer = "Bearer ";

    private enum Presented
    {
        Nothing,
        WrongToken,
        FromElsewhere,
    }

    /// <summary>Whether the request carries its token, or tries to, in a way that a foreign page cannot make a browser follow.</summary>
    public static bool HasHeader(HttpRequest request) => !string.IsNullOrEmpty(request.Headers.Authorization);

    /// <inheritdoc/>
    protected override Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        if (!tokens.IsNeeded)
        {
            return Task.FromResult(settings.AllowAnonymous || IsFromThisMachine() ? Success(ApiToken.Anonymous, ApiRole.Admin) : Refused(Presented.FromElsewhere));
        }

        var token = Token();
        return Task.FromResult(token is null ? AuthenticateResult.NoResult()
            : tokens.Find(token) is { } known ? Success(known.Name, known.Role)
            : Refused(Presented.WrongToken));
    }

    /// <inheritdoc/>
    protected override async Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        var presented = Context.Items.TryGetValue(typeof(Presented), out var value) ? (Presented)value! : Presented.Nothing;
        var (route, role) = Asked();
        LogUnknown(Logger, Request.Method, route, role, presented, Context.Connection.RemoteIpAddress);
        Response.Headers.WWWAuthenticate = presented == Presented.WrongToken ? "Bearer error=\"invalid_token\"" : "Bearer";
        await RefuseAsync(Context, StatusCodes.Status401Unauthorized, presented switch
        {
            Presented.WrongToken => "The token is not known here; ask whoever runs the coordinator for one.",
            Presented.FromElsewhere => "This coordinator has no tokens and serves its own machine alone, at a loopback address and under a loopback name.",
            _ => $"This needs a token of the role '{role}': send it as 'Authorization: Bearer …'; splitfrozen takes it by --token or SPLITFROZEN_TOKEN.",
        }).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    protected override async Task HandleForbiddenAsync(AuthenticationProperties properties)
    {
        var (route, role) = Asked();
        var name = Context.User.Identity?.Name;
        LogTooSmall(Logger, Request.Method, route, role, name, Context.Connection.RemoteIpAddress);
        var held = Policies.RoleOf(Context.User) is { } own ? Policies.Name(own) : "none";
        await RefuseAsync(Context, StatusCodes.Status403Forbidden, $"This needs the role '{role}'; the token '{name}' has the role '{held}'.").ConfigureAwait(false);
    }

    /// <summary>What is asked for, by the route's own text and not by the caller's.</summary>
    public static string RouteOf(HttpContext context) => (context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText ?? "no route";

    /// <summary>Answers with the reason.</summary>
    public static Task RefuseAsync(HttpContext context, int status, string reason)
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsJsonAsync(new RequestRefused([reason]), ClusterApi.Json, context.RequestAborted);
    }

    private string? Token()
    {
        var header = Request.Headers.Authorization.ToString();
        if (header.Length > 0)
        {
            return header.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) ? header[Bearer.Length..].Trim() : "";
        }

        return Request.Cookies.TryGetValue(SessionCookie.Name(Request), out var cookie) ? cookie : null;
    }

    private AuthenticateResult Success(string name, ApiRole role) =>
        AuthenticateResult.Success(new AuthenticationTicket(Policies.Principal(name, role, Scheme.Name), Scheme.Name));

    private AuthenticateResult Refused(Presented what)
    {
        Context.Items[typeof(Presented)] = what;
        return AuthenticateResult.Fail(what.ToString());
    }

    /// <summary>
    /// By the address that the connection came to, whatever the settings made the server listen on. The name counts too: a page of another site can
    /// make a name of its own mean this machine, and would then be let in as the same site.
    /// </summary>
    private bool IsFromThisMachine()
    {
        var host = Request.Host.Host.Trim('[', ']');
        var isLocalName = host.Length == 0 || string.Equals(host, "localhost", StringComparison.OrdinalIgnoreCase)
            || (IPAddress.TryParse(host, out var named) && IPAddress.IsLoopback(named));
        return isLocalName && (Context.Connection.LocalIpAddress is not { } local || IPAddress.IsLoopback(local));
    }

    private (string Route, string Role) Asked() => (RouteOf(Context), Policies.Name(Policies.RoleOf(Context.GetEndpoint()) ?? ApiRole.Admin));

    [LoggerMessage(Level = LogLevel.Warning, Message = "Refused {Method} {Route}, which needs the role {Role}: {Presented}; from {Address}")]
    private static partial void LogUnknown(ILogger logger, string method, string route, string role, Presented presented, IPAddress? address);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Refused {Method} {Route}, which needs the role {Role}: the token {Token} does not have it; from {Address}")]
    private static partial void LogTooSmall(ILogger logger, string method, string route, string role, string? token, IPAddress? address);
}

/// <summary>The cookie in which a browser keeps the token.</summary>
internal static class SessionCookie
{
    /// <summary>Its name: over https one that a browser takes only from this very host, and never over http.</summary>
    public static string Name(HttpRequest request) => request.IsHttps ? "__Host-splitfrozen" : "splitfrozen";

    /// <summary>How it is set and removed: no script reads it, no foreign page makes a browser send it, and it ends with the browser.</summary>
    public static CookieOptions Options(HttpRequest request) => new() { HttpOnly = true, SameSite = Microsoft.AspNetCore.Http.SameSiteMode.Strict, Secure = request.IsHttps, Path = "/" };
}
