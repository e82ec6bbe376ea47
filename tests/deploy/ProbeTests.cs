using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using SplitFrozen.TestServers;

namespace SplitFrozen.Deploy.Tests;

/// <summary>What the probes of the manifests ask, asked of a running process while its broker goes and comes back.</summary>
public sealed class ProbeTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);

    [Fact]
    public async Task DeviceWorker_WhoseBrokerGoesAndComesBack_IsAliveThroughoutAndReadyAgain()
    {
        var token = TestContext.Current.CancellationToken;
        await using var broker = await RabbitMqServer.StartNewAsync(token);
        Assert.SkipWhen(broker.ControlSkipReason is not null, broker.ControlSkipReason ?? "");
        await using var redis = await RedisServer.StartNewAsync(token);
        Assert.SkipWhen(redis.SkipReason is not null, redis.SkipReason ?? "");
        var port = FreePort();
        using var worker = Start(broker, redis, port);
        try
        {
            using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}/health/"), Timeout = TimeSpan.FromSeconds(10) };
            await UntilAsync(http, "ready", HttpStatusCode.OK, token);
            await broker.StopAsync(token);
            await UntilAsync(http, "ready", HttpStatusCode.ServiceUnavailable, token);
            Assert.Equal(HttpStatusCode.OK, await AskAsync(http, "live", token));
            await broker.StartAsync(token);
            await UntilAsync(http, "ready", HttpStatusCode.OK, token);
        }
        finally
        {
            worker.Kill();
            await worker.WaitForExitAsync(CancellationToken.None);
        }
    }

    private static Process Start(RabbitMqServer broker, RedisServer redis, string port)
    {
        var program = Path.Combine(Programs.Root, "artifacts", "bin", "SplitFrozen.DeviceWorker", "release", "SplitFrozen.DeviceWorker.dll");
        var start = new ProcessStartInfo("dotnet", [program]) { RedirectStandardOutput = true, UseShellExecute = false, WorkingDirectory = Path.GetTempPath() };
        start.Environment["Transport__Broker"] = broker.ConnectionString;
        start.Environment["Transport__Redis"] = redis.ConnectionString;
        start.Environment["Transport__QueueKind"] = "Classic";
        start.Environment["Device__Name"] = "probed";
        start.Environment["Device__GigaflopsPerSecond"] = "50";
        start.Environment["Health__Port"] = port;
        var process = Process.Start(start)!;
        process.BeginOutputReadLine();
        return process;
    }

    private static string FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);
    }

    private static async Task UntilAsync(HttpClient http, string what, HttpStatusCode wanted, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(s_patience);
        while (await AskAsync(http, what, deadline.Token) != wanted)
        {
            await Task.Delay(100, deadline.Token);
        }
    }

    private static async Task<HttpStatusCode?> AskAsync(HttpClient http, string what, CancellationToken cancellationToken)
    {
        try
        {
            using var response = await http.GetAsync(new Uri(what, UriKind.Relative), cancellationToken);
            return response.StatusCode;
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }
}
