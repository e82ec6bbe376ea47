using Microsoft.Extensions.FileProviders;

namespace SplitFrozen.Coordinator.Dashboard;

/// <summary>Serves the dashboard: pages at <c>/</c> and <c>/runs/{id}</c> that read the HTTP interface, from files within this assembly.</summary>
internal static class DashboardPages
{
    // Names of runs and clients and the reasons of refusals come from outside. The pages set them as text; should one ever slip through as
    // markup, this keeps the browser from running it, from loading anything for it, and from sending anything elsewhere.
    private const string Policy =
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

    /// <summary>Adds the pages, and the headers that protect whoever looks at them to every response.</summary>
    public static void UseDashboard(this WebApplication app)
    {
        var files = new ManifestEmbeddedFileProvider(typeof(DashboardPages).Assembly, "Dashboard/Assets");
        app.Use((context, next) =>
        {
            Protect(context.Response.Headers);
            return next(context);
        });
        app.UseDefaultFiles(new DefaultFilesOptions { FileProvider = files });
        app.UseStaticFiles(new StaticFileOptions
        {
            FileProvider = files,

            // Revalidated each time, so that a page and its modules are never of two versions.
            OnPrepareResponse = response => response.Context.Response.Headers.CacheControl = "no-cache",
        });
        app.MapGet("/runs/{id}", () => RunPage(files)).ExcludeFromDescription();
    }

    // The page asks for the run itself, and says so where there is none of that id.
    private static IResult RunPage(ManifestEmbeddedFileProvider files) => Results.Stream(files.GetFileInfo("run.html").CreateReadStream(), "text/html; charset=utf-8");

    private static void Protect(IHeaderDictionary headers)
    {
        headers.ContentSecurityPolicy = Policy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
    }
}
