using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using SplitFrozen.Contracts.Api;
using SplitFrozen.TestOtlp;
using SplitFrozen.TestServers;
using StackExchange.Redis;

namespace SplitFrozen.Processes.Tests;

/// <summary>
/// Passwords and tokens of a coordinator that tells everything it can tell, while all goes well and while it does not: they are in no log, span,
/// metric or answer.
/// </summary>
[Collection(ClusterTests.OneAtATime)]
public sealed class SecretTests : ClusterTests, IAsyncLifetime
{
    private const string User = "coordinator-login";
    private const string BrokerPassword = "brokerpassword7c1e";
    private const string RedisPassword = "redispassword93ab";
    private const string Header = "collectorheader55d0";
    private const string OneShortTry = ",connectTimeout=500,connectRetry=1";
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(4);

    private readonly string _token = ApiToken.Create();
    private readonly string _wrongToken = ApiToken.Create();
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("splitfrozen-secrets-");
    private RabbitMqServer _broker = null!;
    private RedisServer _redis = null!;
    private OtlpReceiver _receiver = null!;

    public async ValueTask InitializeAsync()
    {
        _broker = await RabbitMqServer.StartNewAsync(Token);
        _redis = await RedisServer.StartNewAsync(Token);
        _receiver = await OtlpReceiver.StartAsync(Token);
        Assert.SkipWhen(_broker.UsersSkipReason is not null, _broker.UsersSkipReason ?? "");
        Assert.SkipWhen(_redis.SkipReason is not null, _redis.SkipReason ?? "");
        await _broker.AddUserAsync(User, BrokerPassword, Token);
        await using var raw = await ConnectionMultiplexer.ConnectAsync(_redis.ConnectionString + ",allowAdmin=true");
        await raw.GetDatabase().ExecuteAsync("CONFIG", "SET", "requirepass", RedisPassword);
    }

    public async ValueTask DisposeAsync()
    {
        await _receiver.DisposeAsync();
        await _redis.DisposeAsync();
        await _broker.DisposeAsync();
        _folder.Delete(recursive: true);
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Coordinator_ThatServesStrangersAndLosesItsStore_TellsNoSecret()
    {
        var address = $"http://127.0.0.1:{FreePort()}";
        var coordinator = new Service("coordinator", Programs.Built("SplitFrozen.Coordinator", "SplitFrozen.Coordinator"), Path.Combine(_folder.FullName, "log"), Settings(address, Redis(RedisPassword)));
        coordinator.Start();
        try
        {
            using var http = new HttpClient { BaseAddress = new Uri(address) };
            var answers = new List<string>();
            await UntilAsync(async () => await TryAsync(http, "/health/ready") == HttpStatusCode.OK, coordinator);
            answers.Add(await AskAsync(http, HttpMethod.Get, "/api/runs", _token, HttpStatusCode.OK));
            answers.Add(await AskAsync(http, HttpMethod.Get, "/api/runs", _wrongToken, HttpStatusCode.Unauthorized));
            answers.Add(await AskAsync(http, HttpMethod.Delete, "/api/dead-letters", _token, HttpStatusCode.Forbidden));
            answers.Add(await AskAsync(http, HttpMethod.Get, $"/api/session?name={Header}", _token, HttpStatusCode.OK));
            foreach (var (token, status) in new[] { (_wrongToken, HttpStatusCode.Unauthorized), (_token, HttpStatusCode.OK) })
            {
                using var signIn = await http.PostAsJsonAsync("/api/session", new SignIn(token), ClusterApi.Json, Token);
                Assert.Equal(status, signIn.StatusCode);
                answers.Add(await signIn.Content.ReadAsStringAsync(Token));
            }

            // The store goes away under it: its requests fail, and it tells why.
            await _redis.KillAsync();
            await UntilAsync(async () => await TryAsync(http, "/health/ready") == HttpStatusCode.ServiceUnavailable, coordinator);
            await UntilAsync(() => Task.FromResult(coordinator.Log().Contains("lease", StringComparison.Ordinal)), coordinator);
            Assert.Equal(0, await coordinator.TerminateAsync(Token));
            AssertNoSecret([.. answers, coordinator.Log(), _receiver.Everything]);

            var spans = _receiver.Spans.Where(span => span.Source.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal)).ToArray();
            Assert.Contains(spans, span => span.Attributes["http.route"] == "/api/runs" && span.Attributes["http.response.status_code"] == "200");
            Assert.Contains(spans, span => span.Attributes["http.route"] == "/api/runs" && span.Attributes["http.response.status_code"] == "401");
            Assert.DoesNotContain(spans, span => span.Attributes["url.path"].StartsWith("/health", StringComparison.Ordinal));
            Assert.All(spans, span => Assert.False(span.Attributes.ContainsKey("url.query")));
            Assert.NotEmpty(_receiver.Points);
            Assert.Contains(_receiver.LogRecords, log => log.Body.Contains("needs the role", StringComparison.Ordinal));
        }
        finally
        {
            await coordinator.KillAsync();
        }
    }

    [Theory]
    [InlineData("wrong broker password")]
    [InlineData("wrong redis password")]
    [InlineData("no redis")]
    [InlineData("malformed redis")]
    [InlineData("malformed broker")]
    public async Task Coordinator_ThatCannotStart_TellsNoSecret(string fault)
    {
        var settings = Settings($"http://127.0.0.1:{FreePort()}", fault switch
        {
            "wrong redis password" => Redis("wrong" + RedisPassword) + OneShortTry,
            "no redis" => $"127.0.0.1:{FreePort()},password={RedisPassword}{OneShortTry}",
            "malformed redis" => $"{Redis("a")},{RedisPassword}={RedisPassword},{RedisPassword}",
            _ => Redis(RedisPassword),
        });
        settings["Transport__Broker"] = fault switch
        {
            "wrong broker password" => _broker.ConnectionStringFor(User, "wrong" + BrokerPassword),
            "malformed broker" => $"amqp://{User}:{BrokerPassword}#/{BrokerPassword}@127.0.0.1:{BrokerPassword}/",
            _ => settings["Transport__Broker"],
        };
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(Token);
        deadline.CancelAfter(s_patience);
        var (code, output, error) = await Programs.RunAsync("SplitFrozen.Coordinator", "SplitFrozen.Coordinator", settings, deadline.Token);
        Assert.NotEqual(0, code);
        Assert.NotEqual("", error);
        AssertNoSecret([output, error, _receiver.Everything]);
    }

    private static void AssertNoSecret(string[] told)
    {
        foreach (var secret in new[] { BrokerPassword, RedisPassword, Header, "sft_" })
        {
            Assert.All(told, text => Assert.DoesNotContain(secret, text, StringComparison.OrdinalIgnoreCase));
        }
    }

    private Dictionary<string, string> Settings(string address, string redis) => new(_receiver.Settings("http/protobuf"))
    {
        ["OTEL_EXPORTER_OTLP_HEADERS"] = $"authorization={Header}",
        ["ASPNETCORE_URLS"] = address,
        ["Transport__Broker"] = _broker.ConnectionStringFor(User, BrokerPassword),
        ["Transport__Redis"] = redis,
        ["Transport__QueueKind"] = "Classic",
        ["Coordinator__LeaseTime"] = "00:00:01",
        ["Coordinator__LeaseRenewal"] = "00:00:00.2",
        ["Coordinator__Tokens__0__Name"] = "reader",
        ["Coordinator__Tokens__0__Role"] = "Read",
        ["Coordinator__Tokens__0__Sha256"] = Convert.ToHexString(ApiToken.Hash(_token)),
        ["Logging__LogLevel__Default"] = "Trace",
    };

    private string Redis(string password) => $"{_redis.ConnectionString},password={password}";

    private static async Task<string> AskAsync(HttpClient http, HttpMethod method, string path, string token, HttpStatusCode expected)
    {
        using var request = new HttpRequestMessage(method, path) { Headers = { Authorization = new AuthenticationHeaderValue("Bearer", token) } };
        using var response = await http.SendAsync(request, Token);
        Assert.Equal(expected, response.StatusCode);
        return response.Headers + await response.Content.ReadAsStringAsync(Token);
    }

    private static async Task<HttpStatusCode?> TryAsync(HttpClient http, string path)
    {
        try
        {
            using var response = await http.GetAsync(path, Token);
            return response.StatusCode;
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    private static async Task UntilAsync(Func<Task<bool>> condition, Service coordinator)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(Token);
        deadline.CancelAfter(s_patience);
        while (!await condition())
        {
            Assert.False(deadline.IsCancellationRequested, coordinator.LogEnd());
            await Task.Delay(50, Token);
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
