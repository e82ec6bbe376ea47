namespace SplitFrozen.Coordinator.Access;

/// <summary>
/// Refuses changes that a page of another site makes a browser ask for. A browser tells where a request comes from; a request with a token in
/// its header is no browser's doing by itself.
/// </summary>
internal static class SameOrigin
{
    public static void UseSameOrigin(this WebApplication app) => app.Use(async (context, next) =>
    {
        var request = context.Request;
        var isSafe = HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method) || HttpMethods.IsOptions(request.Method);
        if (isSafe || TokenHandler.HasHeader(request) || !IsForeign(request))
        {
            await next(context).ConfigureAwait(false);
            return;
        }

        app.Logger.LogWarning(
            "Refused {Method} {Route}, which a page of another site asks for; from {Address}", request.Method, TokenHandler.RouteOf(context), context.Connection.RemoteIpAddress);
        await TokenHandler.RefuseAsync(context, StatusCodes.Status403Forbidden, "This comes from a page of another site.").ConfigureAwait(false);
    });

    private static bool IsForeign(HttpRequest request)
    {
        if (request.Headers["Sec-Fetch-Site"].ToString() is { Length: > 0 } site)
        {
            return site != "same-origin";
        }

        // Scheme and host as the browser has them: a proxy in between may change the scheme, so the host alone is compared.
        if (request.Headers.Origin.ToString() is { Length: > 0 } origin)
        {
            return !Uri.TryCreate(origin, UriKind.Absolute, out var from) || !string.Equals(from.Authority, request.Host.Value, StringComparison.OrdinalIgnoreCase);
        }

        // No browser, or none that tells: only without its cookie.
        return request.Cookies.ContainsKey(SessionCookie.Name(request));
    }
}
