using System.Text.RegularExpressions;
using Deque.AxeCore.Commons;
using Deque.AxeCore.Playwright;
using Microsoft.Playwright;
using SplitFrozen.Processes.Tests;

namespace SplitFrozen.Dashboard.Tests;

/// <summary>The dashboard in a real browser, over a real run of real processes.</summary>
public sealed class DashboardTests(DashboardFixture fixture) : IClassFixture<DashboardFixture>
{
    /// <summary>Long, as two cores are shared by six processes and a browser; a condition that holds is seen at once.</summary>
    private const float Patience = 60_000;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private string RunPath => $"/runs/{fixture.Run}";

    [Fact]
    public async Task Run_WhileItRuns_AppearsAndMovesByItself()
    {
        Assert.SkipWhen(fixture.SkipReason is not null, fixture.SkipReason ?? "");
        var trainer = fixture.Cluster.Trainers[0];
        await trainer.KillAsync();
        await using var view = await OpenAsync("/");
        var run = await fixture.Cluster.SubmitAsync(SampleRun.Write(fixture.Cluster.Folder), Token);
        var link = view.Page.GetByRole(AriaRole.Link, new() { Name = run, Exact = true });
        await Expect(link).ToBeVisibleAsync();
        await link.ClickAsync();
        await Expect(view.Page.Locator("#status")).ToContainTextAsync("The run is pending");

        trainer.Start();
        await Expect(view.Page.Locator("#progress-text")).ToContainTextAsync($"step {SampleRun.Steps} of {SampleRun.Steps}");
        await Expect(view.Page.Locator("#status")).ToContainTextAsync("The run is finished");
        await Expect(view.Page.Locator("#loss-chart .plot")).ToHaveAttributeAsync("data-points", $"{SampleRun.Steps}");

        // Same model and samples as the run before: no device computes anything.
        await Expect(view.Page.Locator("#flow")).ToContainTextAsync("280 of 280 samples");
        await Expect(view.Page.Locator("#flow div").Filter(new() { HasText = "Computed by devices" }).Locator("dd")).ToHaveTextAsync("0 samples");
    }

    [Fact]
    public async Task Events_CoordinatorStartsAgain_ThePageGoesOn()
    {
        Assert.SkipWhen(fixture.SkipReason is not null, fixture.SkipReason ?? "");
        var (trainer, coordinator) = (fixture.Cluster.Trainers[0], fixture.Cluster.Coordinator);
        await trainer.KillAsync();
        var run = await fixture.Cluster.SubmitAsync(SampleRun.Write(fixture.Cluster.Folder), Token);
        await using var view = await OpenAsync($"/runs/{run}");
        await Expect(view.Page.Locator("#status")).ToContainTextAsync("Live.");
        await coordinator.KillAsync();
        await Expect(view.Page.Locator("#status")).ToContainTextAsync("does not answer");

        coordinator.Start();
        trainer.Start();
        await Expect(view.Page.Locator("#status")).ToContainTextAsync("The run is finished");
        await Expect(view.Page.Locator("#loss-chart .plot")).ToHaveAttributeAsync("data-points", $"{SampleRun.Steps}");
    }

    [Fact]
    public async Task RunPage_OfAFinishedRun_ShowsCurvesClientsAndDevices()
    {
        Assert.SkipWhen(fixture.SkipReason is not null, fixture.SkipReason ?? "");
        await using var view = await OpenAsync(RunPath);
        var page = view.Page;
        await Expect(page.Locator("#loss-chart .plot")).ToHaveAttributeAsync("data-points", $"{SampleRun.Steps}");
        await Expect(page.Locator("#metric-chart .plot")).ToHaveAttributeAsync("data-points", $"{SampleRun.Epochs + 1}");
        await Expect(page.Locator("#metric-chart .summary")).ToContainTextAsync("accuracy");
        await Expect(page.Locator("#trainer-time")).ToContainTextAsync("waited for data");

        var client = page.Locator("#clients-table tbody tr").Filter(new() { HasText = DashboardFixture.Hostile });
        await Expect(client.Locator("[data-label=Share]")).ToHaveTextAsync(new Regex("^1[0-9]\\.[0-9] %$"));
        await Expect(client.Locator("[data-label=Refused]")).ToHaveTextAsync("1");
        await Expect(client.Locator("[data-label=Device]")).ToHaveTextAsync(new Regex("^device-[12]$"));
        await Expect(page.Locator("#devices-table tbody tr")).ToHaveCountAsync(2);
        await Expect(page.Locator("#devices-table tbody tr").First.Locator("[data-label=State]")).ToHaveTextAsync("alive");

        await Expect(page.Locator("#devices-table tbody tr").First.Locator("[data-label='Why this cut']")).Not.ToBeEmptyAsync();

        var trace = await page.GetByRole(AriaRole.Link, new() { Name = "trace" }).GetAttributeAsync("href");
        Assert.Equal($"http://127.0.0.1:16686/search?tags={{\"splitfrozen.run\":\"{fixture.Run}\"}}", trace);
    }

    [Fact]
    public async Task ChartValues_AreATableForThoseWhoDoNotSeeTheCurve()
    {
        Assert.SkipWhen(fixture.SkipReason is not null, fixture.SkipReason ?? "");
        await using var view = await OpenAsync(RunPath);
        await Expect(view.Page.Locator("#loss-chart .summary").First).ToContainTextAsync($"at step {SampleRun.Steps}");
        await view.Page.Locator("#loss-chart details > summary").ClickAsync();
        await Expect(view.Page.Locator("#loss-chart tbody tr")).ToHaveCountAsync(SampleRun.Steps);
    }

    [Fact]
    public async Task RefusedMessage_WithMarkupInItsReason_IsShownAsText()
    {
        Assert.SkipWhen(fixture.SkipReason is not null, fixture.SkipReason ?? "");
        await using var view = await OpenAsync(RunPath);
        var row = view.Page.Locator("#refused-table tbody tr").First;
        await Expect(row.Locator("[data-label=Reason]")).ToContainTextAsync(DashboardFixture.Markup);
        await Expect(row.Locator("[data-label=Client]")).ToHaveTextAsync(DashboardFixture.Hostile);
        await Expect(view.Page.Locator("main img, main b")).ToHaveCountAsync(0);
        await Expect(view.Page).ToHaveTitleAsync($"{fixture.Run} · SplitFrozen");
    }

    [Theory]
    [InlineData("/", 380, ColorScheme.Light)]
    [InlineData("/", 1280, ColorScheme.Dark)]
    [InlineData("run", 380, ColorScheme.Dark)]
    [InlineData("run", 1280, ColorScheme.Light)]
    [InlineData("run", 380, ColorScheme.Light)]
    [InlineData("run", 1280, ColorScheme.Dark)]
    [InlineData("sign-in", 380, ColorScheme.Light)]
    [InlineData("sign-in", 1280, ColorScheme.Dark)]
    public async Task Page_OnPhoneAndDesktopInLightAndDark_FitsAndIsAccessible(string path, int width, ColorScheme scheme)
    {
        Assert.SkipWhen(fixture.SkipReason is not null, fixture.SkipReason ?? "");
        await using var view = await OpenAsync(path switch { "run" => RunPath, "sign-in" => "/sign-in", _ => path }, width, scheme);
        await ExpectFilledAsync(view.Page, path);
        var name = $"{(path == "/" ? "overview" : path)}-{width}-{(scheme == ColorScheme.Dark ? "dark" : "light")}.png";
        await view.Page.ScreenshotAsync(new() { FullPage = true, Path = Path.Combine(DashboardFixture.Artifacts, name) });

        Assert.Equal(width, await view.Page.EvaluateAsync<int>("document.documentElement.scrollWidth"));
        var found = await view.Page.RunAxe(new AxeRunOptions { RunOnly = RunOnlyOptions.Tags("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice") });
        Assert.Empty(found.Violations.Select(fault => $"{fault.Id}: {fault.Help}: {string.Join("; ", fault.Nodes.Select(node => node.Html))}"));
    }

    [Fact]
    public async Task Keyboard_TabAlone_ReachesTheRun()
    {
        Assert.SkipWhen(fixture.SkipReason is not null, fixture.SkipReason ?? "");
        await using var view = await OpenAsync("/");
        await ExpectFilledAsync(view.Page, "/");
        await view.Page.Keyboard.PressAsync("Tab");
        await Expect(view.Page.Locator(".skip")).ToBeFocusedAsync();
        await Expect(view.Page.Locator(".skip")).ToBeInViewportAsync();
        var target = view.Page.Locator($"a[href='{RunPath}']");
        for (var presses = 0; presses < 20 && !await target.EvaluateAsync<bool>("link => link === document.activeElement"); presses++)
        {
            await view.Page.Keyboard.PressAsync("Tab");
        }

        await Expect(target).ToBeFocusedAsync();
        await view.Page.Keyboard.PressAsync("Enter");
        await Expect(view.Page).ToHaveTitleAsync($"{fixture.Run} · SplitFrozen");
    }

    [Fact]
    public async Task UnknownRun_IsSaidToBeUnknown()
    {
        Assert.SkipWhen(fixture.SkipReason is not null, fixture.SkipReason ?? "");
        await using var view = await OpenAsync("/runs/none");
        await Expect(view.Page.Locator("#status")).ToHaveTextAsync("There is no run 'none'.");
    }

    [Fact]
    public async Task Responses_CarryTheHeadersThatProtectTheReader()
    {
        Assert.SkipWhen(fixture.SkipReason is not null, fixture.SkipReason ?? "");
        using var http = fixture.Client();
        foreach (var path in (string[])["/", RunPath, "/sign-in", "/modules/chart.js", "/api/runs"])
        {
            using var response = await http.GetAsync(fixture.Cluster.Address + path, Token);
            response.EnsureSuccessStatusCode();
            Assert.StartsWith("default-src 'self'", Assert.Single(response.Headers.GetValues("Content-Security-Policy")), StringComparison.Ordinal);
            Assert.Equal("nosniff", Assert.Single(response.Headers.GetValues("X-Content-Type-Options")));
            Assert.Equal("same-origin", Assert.Single(response.Headers.GetValues("Cross-Origin-Opener-Policy")));
            Assert.Equal("same-origin", Assert.Single(response.Headers.GetValues("Cross-Origin-Resource-Policy")));
            Assert.False(response.Headers.Contains("Server"));
            Assert.Equal(path.StartsWith("/api", StringComparison.Ordinal), response.Headers.CacheControl?.NoStore == true);
        }
    }

    private static ILocatorAssertions Expect(ILocator locator) => Assertions.Expect(locator);

    private static IPageAssertions Expect(IPage page) => Assertions.Expect(page);

    private async Task ExpectFilledAsync(IPage page, string path)
    {
        if (path == "sign-in")
        {
            // As it looks when it says no: the message counts too.
            await page.GetByLabel("Token").FillAsync("wrong");
            await page.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();
            await Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("not known here");
            return;
        }

        await Expect(page.Locator("#session")).ToContainTextAsync("operator (admin)");
        await Expect(page.Locator("#devices-table tbody tr")).ToHaveCountAsync(2);
        if (path == "run")
        {
            await Expect(page.Locator("#loss-chart .plot")).ToHaveAttributeAsync("data-points", $"{SampleRun.Steps}");
        }
        else
        {
            await Expect(page.Locator($"a[href='{RunPath}']")).ToBeVisibleAsync();
            await Expect(page.Locator("#refused-table tbody tr")).ToHaveCountAsync(1);
        }
    }

    private Task<View> OpenAsync(string path, int width = 1280, ColorScheme scheme = ColorScheme.Light)
    {
        Assertions.SetDefaultExpectTimeout(Patience);
        return View.OpenAsync(fixture.Browser, fixture.Cluster.Address, path, width, scheme, fixture.Operator);
    }
}
