using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OpenTelemetry.Trace;
using SplitFrozen.Contracts.Telemetry;

namespace SplitFrozen.ServiceDefaults.Tests;

public sealed class ServiceDefaultsTests
{
    [Fact]
    public void AddServiceDefaults_NoEndpoint_CollectsNothing()
    {
        var builder = Host.CreateEmptyApplicationBuilder(settings: null);
        builder.AddServiceDefaults("splitfrozen-test");
        using var host = builder.Build();

        Assert.Null(host.Services.GetService<TracerProvider>());
        Assert.Same(TimeProvider.System, host.Services.GetRequiredService<TimeProvider>());
    }

    [Fact]
    public async Task AddServiceDefaults_Endpoint_SendsSpansThere()
    {
        using var receiver = new OtlpReceiver();
        var builder = Host.CreateEmptyApplicationBuilder(settings: null);
        builder.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.Address;
        builder.Configuration["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf";
        builder.AddServiceDefaults("splitfrozen-test");
        using (var host = builder.Build())
        {
            await host.StartAsync(TestContext.Current.CancellationToken);
            using var source = new ActivitySource(TelemetryNames.Trainer);
            using (var activity = source.StartActivity("train-step-of-the-test"))
            {
                Assert.NotNull(activity);
                activity.SetTag(TelemetryNames.Step, 17);
            }

            await host.StopAsync(TestContext.Current.CancellationToken);
        }

        var spans = await receiver.BodyOf("/v1/traces").WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        Assert.Contains("splitfrozen-test", spans, StringComparison.Ordinal);
        Assert.Contains("train-step-of-the-test", spans, StringComparison.Ordinal);
        Assert.Contains(TelemetryNames.Step, spans, StringComparison.Ordinal);
    }

    /// <summary>Takes OTLP over HTTP and keeps the bodies; protobuf keeps strings as they are.</summary>
    private sealed class OtlpReceiver : IDisposable
    {
        private readonly HttpListener _listener = new();
        private readonly ConcurrentDictionary<string, TaskCompletionSource<string>> _bodies = new();

        public OtlpReceiver()
        {
            using var probe = new TcpListener(IPAddress.Loopback, 0);
            probe.Start();
            Address = $"http://127.0.0.1:{((IPEndPoint)probe.LocalEndpoint).Port}/";
            probe.Stop();
            _listener.Prefixes.Add(Address);
            _listener.Start();
            _ = Task.Run(ReceiveAsync);
        }

        public string Address { get; }

        public Task<string> BodyOf(string path) => Slot(path).Task;

        public void Dispose() => _listener.Close();

        private async Task ReceiveAsync()
        {
            while (_listener.IsListening)
            {
                var context = await _listener.GetContextAsync();
                using var body = new MemoryStream();
                await context.Request.InputStream.CopyToAsync(body);
                Slot(context.Request.Url!.AbsolutePath).TrySetResult(Encoding.Latin1.GetString(body.ToArray()));
                context.Response.Close();
            }
        }

        private TaskCompletionSource<string> Slot(string path) => _bodies.GetOrAdd(path, _ => new TaskCompletionSource<string>());
    }
}
