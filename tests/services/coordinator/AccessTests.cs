using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Routing;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Services.Tests.Support;

namespace SplitFrozen.Services.Tests.Coordinator;

/// <summary>Who may use the interface: tokens and roles, the cookie of a browser, pages of other sites, and how much one caller may ask for.</summary>
public sealed class AccessTests : HostedRun
{
    private static readonly (string Key, string Value) s_patient = ("Coordinator:UnknownCallersPerMinute", "100000");
    private readonly TestTokens _tokens = new();

    /// <summary>Every route with the role that it needs; a new one has to be added here, on purpose.</summary>
    public static TheoryData<string, string, ApiRole?> Routes => new()
    {
        { "GET", "/api/runs", ApiRole.Read },
        { "GET", "/api/runs/{id}", ApiRole.Read },
        { "GET", "/api/runs/{id}/events", ApiRole.Read },
        { "GET", "/api/runs/{id}/artifacts/{name}", ApiRole.Read },
        { "GET", "/api/devices", ApiRole.Read },
        { "GET", "/api/session", ApiRole.Read },
        { "GET", "/openapi/{documentName}.json", ApiRole.Read },
        { "POST", "/api/runs", ApiRole.Submit },
        { "POST", "/api/runs/{id}/cancel", ApiRole.Submit },
        { "POST", "/api/runs/{id}/resume", ApiRole.Submit },
        { "DELETE", "/api/runs/{id}", ApiRole.Admin },
        { "GET", "/api/dead-letters", ApiRole.Admin },
        { "DELETE", "/api/dead-letters", ApiRole.Admin },
        { "POST", "/api/session", null },
        { "DELETE", "/api/session", null },
        { "GET", "/runs/{id}", null },
        { "GET", "/sign-in", null },
        { "GET", "/health/live", null },
        { "GET", "/health/ready", null },
    };

    [Fact]
    public async Task EveryRoute_StatesItsRoleOrThatItIsOpen()
    {
        var host = await HostAsync(_tokens.Settings);
        var expected = Routes.Select(row => row.Data).Select(data => $"{data.Item1} {data.Item2}: {data.Item3?.ToString().ToLowerInvariant() ?? "open"}");
        Assert.Equal(expected.Order(StringComparer.Ordinal), host.Routes.SelectMany(Described).Order(StringComparer.Ordinal));

        static IEnumerable<string> Described(RouteEndpoint route)
        {
            var policies = route.Metadata.OfType<IAuthorizeData>().Select(data => data.Policy).ToArray();
            var isOpen = route.Metadata.OfType<IAllowAnonymous>().Any();
            Assert.True(isOpen ? policies.Length == 0 : policies.Length == 1, $"{route.RoutePattern.RawText} is neither open nor of one role.");
            foreach (var method in route.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods is { Count: > 0 } methods ? methods : ["GET"])
            {
                yield return $"{method} {route.RoutePattern.RawText}: {(isOpen ? "open" : policies[0])}";
            }
        }
    }

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task Route_ByNobodyAStrangerAndEachRole_IsRefusedOrServed(string method, string route, ApiRole? needed)
    {
        var host = await HostAsync([.. _tokens.Settings, s_patient]);
        var path = route.Replace("{id}", "none", StringComparison.Ordinal).Replace("{name}", "a", StringComparison.Ordinal).Replace("{documentName}", "v1", StringComparison.Ordinal);

        await AssertAsync(null, needed is null ? null : HttpStatusCode.Unauthorized, needed?.ToString().ToLowerInvariant() ?? "");
        await AssertAsync(new("Bearer", ApiToken.Create()), needed is null ? null : HttpStatusCode.Unauthorized, "not known");
        await AssertAsync(new("Basic", _tokens.Of(ApiRole.Admin)), needed is null ? null : HttpStatusCode.Unauthorized, "not known");
        foreach (var role in Enum.GetValues<ApiRole>())
        {
            await AssertAsync(_tokens.Header(role), role < needed ? HttpStatusCode.Forbidden : null, $"'the-{role}'");
        }

        async Task AssertAsync(AuthenticationHeaderValue? header, HttpStatusCode? refusal, string says)
        {
            using var response = await SendAsync(host, method, path, header);
            if (refusal is { } status)
            {
                Assert.Equal(status, response.StatusCode);
                Assert.Contains(says, await ReasonAsync(response), StringComparison.Ordinal);
                Assert.Equal(status == HttpStatusCode.Unauthorized, response.Headers.WwwAuthenticate.Count > 0);
            }
            else if (route != "/api/session" || method != "POST")
            {
                Assert.DoesNotContain(response.StatusCode, new[] { HttpStatusCode.Unauthorized, HttpStatusCode.Forbidden });
            }
        }
    }

    [Fact]
    public async Task UnknownPath_WithoutAToken_TellsNothing()
    {
        var host = await HostAsync(_tokens.Settings);
        using var stranger = await SendAsync(host, "GET", "/secret", null);
        Assert.Equal(HttpStatusCode.Unauthorized, stranger.StatusCode);
        using var known = await SendAsync(host, "GET", "/secret", _tokens.Header(ApiRole.Admin));
        Assert.Equal(HttpStatusCode.NotFound, known.StatusCode);
    }

    [Fact]
    public async Task Browser_SignsIn_IsKnownByItsCookieUntilItSignsOut()
    {
        var host = await HostAsync(_tokens.Settings);
        using var browser = new HttpClient(new SocketsHttpHandler { CookieContainer = new CookieContainer() }) { BaseAddress = host.Client.BaseAddress };
        browser.DefaultRequestHeaders.Add("Sec-Fetch-Site", "same-origin");
        using (var wrong = await browser.PostAsJsonAsync("/api/session", new SignIn(ApiToken.Create()), ClusterApi.Json, Token))
        {
            Assert.Equal(HttpStatusCode.Unauthorized, wrong.StatusCode);
            Assert.Contains("not known", await ReasonAsync(wrong), StringComparison.Ordinal);
            Assert.False(wrong.Headers.Contains("Set-Cookie"));
        }

        using (var right = await browser.PostAsJsonAsync("/api/session", new SignIn(_tokens.Of(ApiRole.Submit)), ClusterApi.Json, Token))
        {
            var cookie = Assert.Single(right.Headers.GetValues("Set-Cookie"));
            Assert.Contains("; samesite=strict", cookie, StringComparison.OrdinalIgnoreCase);
            Assert.Contains("; httponly", cookie, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain("secure", cookie, StringComparison.OrdinalIgnoreCase);
        }

        Assert.Equal(new("the-Submit", ApiRole.Submit, false), await browser.GetFromJsonAsync<SessionInfo>("/api/session", ClusterApi.Json, Token));

        // Another coordinator knows it as well.
        var standby = await HostAsync(_tokens.Settings);
        using (var request = new HttpRequestMessage(HttpMethod.Get, new Uri(standby.Client.BaseAddress!, "/api/runs")))
        {
            request.Headers.Add("Cookie", $"splitfrozen={_tokens.Of(ApiRole.Submit)}");
            using var elsewhere = await standby.Client.SendAsync(request, Token);
            Assert.Equal(HttpStatusCode.OK, elsewhere.StatusCode);
        }

        (await browser.DeleteAsync("/api/session", Token)).Dispose();
        using var after = await browser.GetAsync("/api/runs", Token);
        Assert.Equal(HttpStatusCode.Unauthorized, after.StatusCode);
    }

    [Theory]
    [InlineData("Sec-Fetch-Site", "cross-site", true)]
    [InlineData("Sec-Fetch-Site", "same-site", true)]
    [InlineData("Sec-Fetch-Site", "same-origin", false)]
    [InlineData("Origin", "https://elsewhere.example", true)]
    [InlineData("Origin", "null", true)]
    [InlineData("Origin", "self", false)]
    [InlineData("X-Nothing", "told", true)]
    public async Task ChangeByCookie_FromAPageOfAnotherSite_IsRefused(string header, string value, bool refused)
    {
        var host = await HostAsync(_tokens.Settings);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/runs/none/cancel");
        request.Headers.Add("Cookie", $"splitfrozen={_tokens.Of(ApiRole.Submit)}");
        request.Headers.Add(header, value == "self" ? host.Client.BaseAddress!.GetLeftPart(UriPartial.Authority) : value);
        using var response = await host.Client.SendAsync(request, Token);
        Assert.Equal(refused ? HttpStatusCode.Forbidden : HttpStatusCode.NotFound, response.StatusCode);
    }

    [Fact]
    public async Task NoTokens_ThisMachineIsServedAndPagesOfOthersAreNot()
    {
        var host = await HostAsync();
        Assert.Equal(new("anonymous", ApiRole.Admin, true), await host.Client.GetFromJsonAsync<SessionInfo>("/api/session", ClusterApi.Json, Token));

        // A name that someone else's server has made to mean this machine.
        using var rebound = new HttpRequestMessage(HttpMethod.Get, "/api/runs") { Headers = { Host = "rebound.example" } };
        using var refused = await host.Client.SendAsync(rebound, Token);
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        Assert.Contains("loopback", await ReasonAsync(refused), StringComparison.Ordinal);

        using var foreign = new HttpRequestMessage(HttpMethod.Post, "/api/runs/none/cancel") { Headers = { { "Origin", "https://elsewhere.example" } } };
        using var forbidden = await host.Client.SendAsync(foreign, Token);
        Assert.Equal(HttpStatusCode.Forbidden, forbidden.StatusCode);
        using var command = await host.Client.PostAsync("/api/runs/none/cancel", content: null, Token);
        Assert.Equal(HttpStatusCode.NotFound, command.StatusCode);
    }

    [Fact]
    public async Task Guessing_IsSlowAndTakesNothingFromHoldersOfATokenOrHealth()
    {
        var host = await HostAsync([.. _tokens.Settings, ("Coordinator:UnknownCallersPerMinute", "2")]);
        var answers = new List<HttpResponseMessage>();
        for (var guess = 0; guess < 3; guess++)
        {
            answers.Add(await SendAsync(host, "GET", "/api/runs", new("Bearer", ApiToken.Create())));
        }

        Assert.Equal([HttpStatusCode.Unauthorized, HttpStatusCode.Unauthorized, HttpStatusCode.TooManyRequests], answers.Select(answer => answer.StatusCode));
        Assert.InRange(answers[2].Headers.RetryAfter!.Delta!.Value, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(60));
        Assert.Contains("Too many requests", await ReasonAsync(answers[2]), StringComparison.Ordinal);
        using var signIn = await host.Client.PostAsJsonAsync("/api/session", new SignIn("guess"), ClusterApi.Json, Token);
        Assert.Equal(HttpStatusCode.TooManyRequests, signIn.StatusCode);
        using var known = await SendAsync(host, "GET", "/api/runs", _tokens.Header(ApiRole.Read));
        Assert.Equal(HttpStatusCode.OK, known.StatusCode);
        Assert.Equal("Healthy", await host.Client.GetStringAsync("/health/ready", Token));
        answers.ForEach(answer => answer.Dispose());
    }

    [Fact]
    public async Task OneToken_BeyondItsBudget_IsToldToComeLaterAndOthersAreServed()
    {
        var host = await HostAsync([.. _tokens.Settings, ("Coordinator:RequestBurst", "2"), ("Coordinator:RequestsPerSecond", "1")]);
        var answers = await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => SendAsync(host, "GET", "/api/session", _tokens.Header(ApiRole.Read))));
        Assert.Contains(answers, answer => answer.StatusCode == HttpStatusCode.TooManyRequests && answer.Headers.RetryAfter?.Delta is not null);
        using var other = await SendAsync(host, "GET", "/api/session", _tokens.Header(ApiRole.Admin));
        Assert.Equal(HttpStatusCode.OK, other.StatusCode);
        Array.ForEach(answers, answer => answer.Dispose());
    }

    [Fact]
    public async Task EventStreams_AreBoundedForEachCallerAndFreeAgainWhenTheyEnd()
    {
        var host = await HostAsync([.. _tokens.Settings, ("Coordinator:EventStreamsPerCaller", "2"), ("Coordinator:EventStreams", "3")]);
        host.Client.DefaultRequestHeaders.Authorization = _tokens.Header(ApiRole.Submit);
        var path = $"/api/runs/{await SubmitAsync(host)}/events";
        var open = new List<HttpResponseMessage>
        {
            await OpenAsync(ApiRole.Submit, HttpStatusCode.OK), await OpenAsync(ApiRole.Submit, HttpStatusCode.OK), await OpenAsync(ApiRole.Read, HttpStatusCode.OK),
        };
        using var ownBound = await OpenAsync(ApiRole.Submit, HttpStatusCode.TooManyRequests);
        Assert.NotNull(ownBound.Headers.RetryAfter?.Delta);
        Assert.Contains("event streams", await ReasonAsync(ownBound), StringComparison.Ordinal);
        using var wholeBound = await OpenAsync(ApiRole.Admin, HttpStatusCode.TooManyRequests);

        open[0].Dispose();
        using var limit = Deadline.Token();
        HttpResponseMessage again;
        while ((again = await TryAsync(ApiRole.Admin)).StatusCode == HttpStatusCode.TooManyRequests)
        {
            again.Dispose();
            limit.Token.ThrowIfCancellationRequested();
        }

        Assert.Equal(HttpStatusCode.OK, again.StatusCode);
        again.Dispose();
        open.ForEach(stream => stream.Dispose());

        async Task<HttpResponseMessage> TryAsync(ApiRole role)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path) { Headers = { Authorization = _tokens.Header(role) } };
            return await host.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Token);
        }

        async Task<HttpResponseMessage> OpenAsync(ApiRole role, HttpStatusCode expected)
        {
            var response = await TryAsync(role);
            Assert.Equal(expected, response.StatusCode);
            return response;
        }
    }

    [Theory]
    [InlineData("GET /api/runs?{0} HTTP/1.1\r\nHost: localhost\r\n\r\n", 5_000, 414)]
    [InlineData("GET /api/runs HTTP/1.1\r\nHost: localhost\r\nX-Long: {0}\r\n\r\n", 17_000, 431)]
    [InlineData("POST /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n{0}", 0, 413)]
    public async Task Request_BeyondABound_IsRefused(string request, int length, int expected)
    {
        var host = await HostAsync();
        using var socket = new TcpClient();
        await socket.ConnectAsync("127.0.0.1", host.Client.BaseAddress!.Port, Token);
        var stream = socket.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(string.Format(System.Globalization.CultureInfo.InvariantCulture, request, new string('a', length))), Token);
        using var reader = new StreamReader(stream);
        Assert.StartsWith($"HTTP/1.1 {expected} ", await reader.ReadLineAsync(Token), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Document_TellsTheTokenAndTheRoleOfEachRoute()
    {
        var host = await HostAsync(_tokens.Settings);
        using var response = await SendAsync(host, "GET", "/openapi/v1.json", _tokens.Header(ApiRole.Read));
        using var document = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Token));
        var scheme = document.RootElement.GetProperty("components").GetProperty("securitySchemes").GetProperty("token");
        Assert.Equal(("http", "bearer"), (scheme.GetProperty("type").GetString(), scheme.GetProperty("scheme").GetString()));
        foreach (var row in Routes.Select(row => row.Data).Where(row => row.Item2.StartsWith("/api", StringComparison.Ordinal)))
        {
            var operation = document.RootElement.GetProperty("paths").GetProperty(row.Item2).GetProperty(row.Item1.ToLowerInvariant());
            Assert.Equal(row.Item3 is not null, operation.TryGetProperty("security", out _));
            Assert.Equal(row.Item3 is not null, operation.GetProperty("responses").TryGetProperty("403", out _));
            Assert.True(operation.GetProperty("responses").TryGetProperty("429", out _));
            if (row.Item3 is { } role)
            {
                Assert.Equal($"Needs the role '{role.ToString().ToLowerInvariant()}'.", operation.GetProperty("description").GetString());
            }
        }
    }

    private static async Task<HttpResponseMessage> SendAsync(CoordinatorHost host, string method, string path, AuthenticationHeaderValue? header)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path) { Headers = { Authorization = header } };
        if (method == "POST")
        {
            request.Content = new StringContent("{}", Encoding.UTF8, "application/json");
        }

        return await host.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Token);
    }

    private static async Task<string> ReasonAsync(HttpResponseMessage response) =>
        Assert.Single((await response.Content.ReadFromJsonAsync<RequestRefused>(ClusterApi.Json, Token))!.Errors);
}
