using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace SplitFrozen.Dashboard.Tests;

/// <summary>How a reader gets in and out, and what a role lets him see.</summary>
public sealed class SignInTests(DashboardFixture fixture) : IClassFixture<DashboardFixture>
{
    private const float Patience = 60_000;

    private string RunPath => $"/runs/{fixture.Run}";

    [Fact]
    public async Task Reader_WithoutAToken_SignsInGoesOnWhereHeWantedAndSignsOut()
    {
        Assert.SkipWhen(fixture.SkipReason is not null, fixture.SkipReason ?? "");
        await using var view = await OpenAsync(RunPath, token: null);
        var page = view.Page;
        await Expect(page).ToHaveTitleAsync("Sign in · SplitFrozen");
        var token = page.GetByLabel("Token");
        await token.FillAsync("sft_guessed");
        await page.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Alert)).ToHaveTextAsync("The token is not known here; ask whoever runs the coordinator for one.");
        await Expect(token).ToBeFocusedAsync();

        await token.FillAsync(fixture.Operator);
        await page.Keyboard.PressAsync("Enter");
        await Expect(page).ToHaveTitleAsync($"{fixture.Run} · SplitFrozen");
        await Expect(page.Locator("#session")).ToContainTextAsync("operator (admin)");
        await Expect(page.Locator("#loss-chart .plot")).ToBeVisibleAsync();
        Assert.Equal("", await page.EvaluateAsync<string>("document.cookie"));

        await page.GetByRole(AriaRole.Button, new() { Name = "Sign out" }).ClickAsync();
        await Expect(page).ToHaveTitleAsync("Sign in · SplitFrozen");
        await page.GotoAsync(fixture.Cluster.Address + "/");
        await Expect(page).ToHaveTitleAsync("Sign in · SplitFrozen");
    }

    [Theory]
    [InlineData("//elsewhere.example/runs/x")]
    [InlineData("https://elsewhere.example/")]
    [InlineData("javascript:alert(1)")]
    [InlineData("/runs/../../elsewhere")]
    public async Task SignIn_ThatIsToLeadElsewhere_LeadsToTheOverview(string next)
    {
        Assert.SkipWhen(fixture.SkipReason is not null, fixture.SkipReason ?? "");
        await using var view = await OpenAsync($"/sign-in?next={Uri.EscapeDataString(next)}", token: null);
        await view.Page.GetByLabel("Token").FillAsync(fixture.Reader);
        await view.Page.Keyboard.PressAsync("Enter");
        await Expect(view.Page).ToHaveURLAsync(fixture.Cluster.Address + "/");
    }

    [Fact]
    public async Task DeadLetters_AreTheOperatorsToSeeAsTextAndNotTheReaders()
    {
        Assert.SkipWhen(fixture.SkipReason is not null, fixture.SkipReason ?? "");
        await using (var view = await OpenAsync("/", fixture.Operator))
        {
            var row = view.Page.Locator("#refused-table tbody tr").First;
            await Expect(row.Locator("[data-label=Reason]")).ToContainTextAsync(DashboardFixture.Markup);
            await Expect(row.Locator("[data-label=Client]")).ToHaveTextAsync(DashboardFixture.Hostile);
            await Expect(row.Locator("[data-label=Run]")).ToHaveTextAsync(fixture.Run);
            await Expect(view.Page.Locator("main img, main b")).ToHaveCountAsync(0);
        }

        await using (var view = await OpenAsync("/", fixture.Reader))
        {
            await Expect(view.Page.Locator("#session")).ToContainTextAsync("reader (read)");
            await Expect(view.Page.Locator($"a[href='{RunPath}']")).ToBeVisibleAsync();
            await Expect(view.Page.Locator("#refused")).ToBeHiddenAsync();
        }
    }

    private Task<View> OpenAsync(string path, string? token)
    {
        SetDefaultExpectTimeout(Patience);
        return View.OpenAsync(fixture.Browser, fixture.Cluster.Address, path, 1280, ColorScheme.Light, token);
    }
}
