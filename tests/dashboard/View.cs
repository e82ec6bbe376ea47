using Microsoft.Playwright;

namespace SplitFrozen.Dashboard.Tests;

/// <summary>A page that is being looked at. When it is closed, it has asked for nothing outside its own origin, and nothing in it was blocked or thrown.</summary>
internal sealed class View : IAsyncDisposable
{
    private readonly IBrowserContext _context;
    private readonly List<string> _faults = [];

    private View(IBrowserContext context, IPage page, string origin)
    {
        (_context, Page) = (context, page);
        page.Request += (_, request) => Note(!request.Url.StartsWith(origin + "/", StringComparison.Ordinal), $"asked for {request.Url}");
        page.PageError += (_, error) => Note(isFault: true, $"threw {error}");
        page.Console += (_, message) => Note(message.Text.Contains("Content Security Policy", StringComparison.Ordinal), message.Text);
    }

    public IPage Page { get; }

    /// <summary>Opens a page.</summary>
    /// <param name="browser">The browser.</param>
    /// <param name="origin">The coordinator.</param>
    /// <param name="path">Path of the page.</param>
    /// <param name="width">Width of the window.</param>
    /// <param name="scheme">What the reader prefers.</param>
    /// <param name="token">With whose token the reader has signed in before; null for nobody's.</param>
    public static async Task<View> OpenAsync(IBrowser browser, string origin, string path, int width, ColorScheme scheme, string? token)
    {
        var context = await browser.NewContextAsync(new() { ViewportSize = new() { Width = width, Height = 800 }, ColorScheme = scheme });
        if (token is not null)
        {
            await context.AddCookiesAsync([new() { Name = "splitfrozen", Value = token, Url = origin, HttpOnly = true, SameSite = SameSiteAttribute.Strict }]);
        }

        var view = new View(context, await context.NewPageAsync(), origin);
        await view.Page.GotoAsync(origin + path, new() { WaitUntil = WaitUntilState.DOMContentLoaded });
        return view;
    }

    public async ValueTask DisposeAsync()
    {
        await _context.DisposeAsync();
        lock (_faults)
        {
            Assert.Empty(_faults);
        }
    }

    private void Note(bool isFault, string what)
    {
        if (isFault)
        {
            lock (_faults)
            {
                _faults.Add(what);
            }
        }
    }
}
