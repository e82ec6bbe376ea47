using Microsoft.Extensions.FileProviders;

namespace SplitFrozen.Coordinator.Dashboard;

/// <summary>Serves the dashboard: pages at <c>/</c>, <c>/runs/{id}</c> and <c>/sign-in</c> that read the HTTP interface, from files within this assembly.</summary>
internal static class DashboardPages
{
    // Names of runs and clients and the reasons of refusals come from outside. The pages set them as text; should one ever slip through as
    // markup, this keeps the browser from running it, from loading anything for it, and from sending anything elsewhere.
    private const string Policy =
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

    private static readonly ManifestEmbeddedFileProvider Files = new(typeof(DashboardPages).Assembly, "Dashboard/Assets");

    /// <summary>Adds the files, and the headers that protect whoever looks at them to every response.</summary>
    public static void UseDashboard(this WebApplication app)
    {
        app.UseHsts();
        app.Use((context, next) =>
        {
            Protect(context);
            return next(context);
        });
        app.UseDefaultFiles(new DefaultFilesOptions { FileProvider = Files });
        app.UseStaticFiles(new StaticFileOptions
        {
            FileProvider = Files,

            // Revalidated each time, so that a page and its modules are never of two versions.
            OnPrepareResponse = response => response.Context.Response.Headers.CacheControl = "no-cache",
        });
    }

    /// <summary>Maps the pages that are not called as their files are. Like the files they hold no data, and are for everyone.</summary>
    public static void MapDashboard(this WebApplication app)
    {
        // The page asks for the run itself, and says so where there is none of that id.
        MapPage("/runs/{id}", "run.html");
        MapPage("/sign-in", "sign-in.html");

        void MapPage(string route, string file) => app.MapGet(route, () => Results.Stream(Files.GetFileInfo(file).CreateReadStream(), "text/html; charset=utf-8"))
            .ExcludeFromDescription().AllowAnonymous().DisableRateLimiting();
    }

    private static void Protect(HttpContext context)
    {
        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = Policy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        if (context.Request.Path.StartsWithSegments("/api", StringComparison.Ordinal))
        {
            headers.CacheControl = "no-store";
        }
    }
}
