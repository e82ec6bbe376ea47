using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using SplitFrozen.Contracts.Api;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>Who may use the interface of a coordinator that runs as it is deployed, by the command line that a user has.</summary>
[Collection(ClusterTests.OneAtATime)]
public sealed class AccessTests : ClusterTests
{
    [Fact]
    public async Task Run_BehindTokens_IsNotDisturbedByStrangersAndIsTheAdministratorsToDelete()
    {
        var (reader, readerSettings) = await CreateTokenAsync("reader", "read", 0);
        var (admin, adminSettings) = await CreateTokenAsync("operator", "admin", 1);
        var settings = readerSettings.Concat(adminSettings).Append(new("Coordinator__UnknownCallersPerMinute", "5")).ToDictionary();
        await using var cluster = await StartAsync(new ClusterOptions { Devices = 2, Settings = settings, Token = admin });
        var run = await cluster.SubmitAsync(SampleRun.Write(cluster.Folder), Token);
        await StepAsync(cluster, run, 2);

        // Strangers, and a holder of too small a role, while the run goes on.
        Assert.Contains("needs a token of the role 'read'", await RefusedAsync("", "runs"), StringComparison.Ordinal);
        Assert.Contains("not known here", await RefusedAsync(ApiToken.Create(), "runs"), StringComparison.Ordinal);
        Assert.Contains("needs the role 'submit'; the token 'reader' has the role 'read'", await RefusedAsync(reader, "cancel", run), StringComparison.Ordinal);
        Assert.Contains("needs the role 'admin'", await RefusedAsync(reader, "dead-letters"), StringComparison.Ordinal);
        Assert.Contains(HttpStatusCode.TooManyRequests, await GuessAsync(cluster, 20));
        await AssertFinishedAsync(cluster, run);

        Assert.Equal(0, (await cluster.CommandAsync(Token, "dead-letters")).Code);
        Assert.Contains("deleted: 0", (await cluster.CommandAsync(Token, "dead-letters", "--purge")).Output, StringComparison.Ordinal);
        Assert.Equal(0, (await cluster.CommandAsync(Token, "delete", run)).Code);
        Assert.DoesNotContain(run, (await cluster.CommandAsync(Token, "runs")).Output, StringComparison.Ordinal);
        var log = cluster.Coordinator.Log();
        Assert.Contains("Refused POST /api/runs/{id}/cancel, which needs the role submit: the token reader does not have it", log, StringComparison.Ordinal);
        Assert.Contains("Refused GET /api/runs, which needs the role read: WrongToken", log, StringComparison.Ordinal);
        Assert.DoesNotContain("sft_", log, StringComparison.Ordinal);

        async Task<string> RefusedAsync(string token, params string[] arguments)
        {
            var (code, _, error) = await Programs.CommandAsync(
                new Dictionary<string, string> { ["SPLITFROZEN_COORDINATOR"] = cluster.Address, ["SPLITFROZEN_TOKEN"] = token }, Token, arguments);
            Assert.Equal(2, code);
            return error;
        }
    }

    [Fact]
    public async Task Start_OpenToOthersWithoutTokens_IsRefusedWithWhatToDo()
    {
        var (code, output, error) = await Programs.RunAsync(
            "SplitFrozen.Coordinator", "SplitFrozen.Coordinator", new Dictionary<string, string> { ["ASPNETCORE_HTTP_PORTS"] = "8080", ["ASPNETCORE_URLS"] = "" }, Token);
        Assert.Equal((2, ""), (code, output));
        Assert.StartsWith("error: The HTTP interface would serve everyone who reaches http://*:8080.", error, StringComparison.Ordinal);
        Assert.Contains("splitfrozen token create", error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    [Fact]
    public async Task Https_WithAPrivateAuthority_IsTrustedByItAloneAndByTheRightName()
    {
        using var authority = new TestAuthority(byAddress: false);
        var (token, tokenSettings) = await CreateTokenAsync("reader", "read", 0);
        var port = FreePort();
        var settings = tokenSettings.Concat(
        [
            new("ASPNETCORE_URLS", $"https://*:{port}"),
            new("Kestrel__Certificates__Default__Path", authority.CertificateFile),
            new("Kestrel__Certificates__Default__KeyPath", authority.KeyFile),
        ]).ToDictionary();
        await using var cluster = await StartAsync(new ClusterOptions { Trainer = false, Settings = settings });
        var served = await RunsAsync("localhost", authority.AuthorityFile);
        await cluster.UntilAsync(async () => (served = await RunsAsync("localhost", authority.AuthorityFile)).Code == 0, () => $"it is served: {served.Error}", Token);

        var (code, _, error) = await RunsAsync("localhost", "");
        Assert.Equal(2, code);
        Assert.Contains("its certificate is not trusted", error, StringComparison.Ordinal);
        (code, _, error) = await RunsAsync("127.0.0.1", authority.AuthorityFile);
        Assert.Equal(2, code);
        Assert.Contains("its certificate is not trusted", error, StringComparison.Ordinal);

        Task<(int Code, string Output, string Error)> RunsAsync(string host, string ca) => Programs.CommandAsync(
            new Dictionary<string, string> { ["SPLITFROZEN_COORDINATOR"] = $"https://{host}:{port}", ["SPLITFROZEN_TOKEN"] = token, ["SPLITFROZEN_CA"] = ca }, Token, "runs");
    }

    /// <summary>A token by the command, and its settings.</summary>
    private static async Task<(string Token, IEnumerable<KeyValuePair<string, string>> Settings)> CreateTokenAsync(string name, string role, int number)
    {
        var (code, output, error) = await Programs.CommandAsync(
            new Dictionary<string, string>(), Token, "token", "create", "--name", name, "--role", role, "--number", number.ToString(CultureInfo.InvariantCulture), "--json");
        Assert.True(code == 0, error);
        using var json = JsonDocument.Parse(output);
        return (
            json.RootElement.GetProperty("token").GetString()!,
            [.. json.RootElement.GetProperty("settings").EnumerateObject().Select(setting => KeyValuePair.Create(setting.Name, setting.Value.GetString()!))]);
    }

    private static async Task<HttpStatusCode[]> GuessAsync(Cluster cluster, int guesses)
    {
        using var http = new HttpClient();
        var answers = new List<HttpStatusCode>();
        for (var guess = 0; guess < guesses; guess++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, $"{cluster.Address}/api/runs") { Headers = { Authorization = new AuthenticationHeaderValue("Bearer", ApiToken.Create()) } };
            using var response = await http.SendAsync(request, Token);
            answers.Add(response.StatusCode);
        }

        return [.. answers];
    }

    private static string FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);
    }
}
