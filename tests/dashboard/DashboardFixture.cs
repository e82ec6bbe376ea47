using System.Net.Http.Headers;
using Microsoft.Playwright;
using RabbitMQ.Client;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Processes.Tests;
using SplitFrozen.TestServers;

namespace SplitFrozen.Dashboard.Tests;

/// <summary>A cluster of processes with a finished run, one message of which was refused, and a browser that looks at it.</summary>
public sealed class DashboardFixture : IAsyncLifetime
{
    /// <summary>The client whose message is refused.</summary>
    public const string Hostile = "client-3";

    /// <summary>Markup that a hostile device puts where the coordinator repeats it in its reason.</summary>
    public const string Markup = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>";

    private const string Password = "secret";
    private const string Setting = "Coordinator__Tokens__";
    private static readonly string[] s_browsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

    private IPlaywright? _playwright;
    private Cluster? _cluster;
    private IBrowser? _browser;

    /// <summary>Why nothing can be looked at; null where all is there.</summary>
    public string? SkipReason { get; private set; }

    /// <summary>The processes.</summary>
    public Cluster Cluster => _cluster!;

    /// <summary>The browser.</summary>
    public IBrowser Browser => _browser!;

    /// <summary>The finished run.</summary>
    public string Run { get; private set; } = "";

    /// <summary>The token of an administrator, <c>operator</c>.</summary>
    public string Operator { get; } = ApiToken.Create();

    /// <summary>The token of <c>reader</c>, who may only look.</summary>
    public string Reader { get; } = ApiToken.Create();

    /// <summary>Where screenshots are kept.</summary>
    public static string Artifacts { get; } = Directory.CreateDirectory(Path.Combine(Programs.Root, "artifacts", "dashboard")).FullName;

    /// <inheritdoc/>
    public async ValueTask InitializeAsync()
    {
        var token = TestContext.Current.CancellationToken;
        if (Array.Find(s_browsers, File.Exists) is not { } browser)
        {
            SkipReason = "There is no Chromium: apt-get install chromium";
            return;
        }

        _cluster = await Cluster.StartAsync(
            new ClusterOptions
            {
                Devices = 2,
                Token = Operator,
                Settings = new Dictionary<string, string>
                {
                    ["Coordinator__TraceUrl"] = "http://127.0.0.1:16686/search?tags={\"splitfrozen.run\":\"RUN\"}",
                    [$"{Setting}0__Name"] = "operator", [$"{Setting}0__Role"] = "Admin", [$"{Setting}0__Sha256"] = Convert.ToHexString(ApiToken.Hash(Operator)),
                    [$"{Setting}1__Name"] = "reader", [$"{Setting}1__Role"] = "Read", [$"{Setting}1__Sha256"] = Convert.ToHexString(ApiToken.Hash(Reader)),
                    ["Coordinator__UnknownCallersPerMinute"] = "1000",
                },
            },
            token);
        if (_cluster.SkipReason is { } reason)
        {
            SkipReason = reason;
            return;
        }

        _playwright = await Playwright.CreateAsync();

        // Chromium's own sandbox needs rights that a container's root does not have.
        _browser = await _playwright.Chromium.LaunchAsync(new() { ExecutablePath = browser, Args = ["--no-sandbox"] });
        await _cluster.Broker.AddUserAsync(Hostile, Password, token);
        Run = await _cluster.SubmitAsync(SampleRun.Write(_cluster.Folder), token);
        await RefuseOneAsync(token);
        await _cluster.EndAsync(Run, token);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_browser is not null)
        {
            await _browser.DisposeAsync();
        }

        _playwright?.Dispose();
        if (_cluster is not null)
        {
            await _cluster.DisposeAsync();
        }
    }

    /// <summary>A program with the operator's token.</summary>
    internal HttpClient Client() => new() { DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", Operator) } };

    /// <summary>Sends an honest body again, in the name of a run that is called as a piece of HTML, while the trainer is away: the run waits for it.</summary>
    private async Task RefuseOneAsync(CancellationToken token)
    {
        await using var hostile = await RawBroker.ConnectAsync(Cluster.Broker.ConnectionStringFor(Hostile, Password), token);
        var first = await hostile.FirstAsync(RawBroker.Activations, $"{Run}.{Hostile}", token);
        var body = new HostileBody(await first.WaitAsync(token));
        await Cluster.Trainers[0].KillAsync();
        body.Metadata["run"] = Markup;
        var channel = await hostile.ChannelAsync(token);
        var properties = new BasicProperties { MessageId = Guid.NewGuid().ToString(), UserId = Hostile };
        await channel.BasicPublishAsync(RawBroker.Activations, $"{Run}.{Hostile}", mandatory: true, properties, body.ToBytes(), token);
        await UntilRefusedAsync(token);
        Cluster.Trainers[0].Start();
    }

    private async Task UntilRefusedAsync(CancellationToken token)
    {
        using var http = Client();
        using var events = new StreamReader(await http.GetStreamAsync($"{Cluster.Address}/api/runs/{Run}/events", token));
        while (await events.ReadLineAsync(token) is { } line && !line.Contains("\"message_rejected\"", StringComparison.Ordinal))
        {
        }
    }
}
