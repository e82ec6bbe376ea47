using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Trace;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.TestOtlp;

namespace SplitFrozen.ServiceDefaults.Tests;

public sealed class ServiceDefaultsTests
{
    private const string Secret = "the-password-of-the-test";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(null, null)]
    [InlineData("http://127.0.0.1:4317", "true")]
    public void AddServiceDefaults_NoEndpointOrSwitchedOff_CollectsNothing(string? endpoint, string? disabled)
    {
        var builder = Host.CreateEmptyApplicationBuilder(settings: null);
        builder.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint;
        builder.Configuration["OTEL_SDK_DISABLED"] = disabled;
        builder.AddServiceDefaults("splitfrozen-test");
        using var host = builder.Build();

        Assert.Null(host.Services.GetService<TracerProvider>());
        Assert.Same(TimeProvider.System, host.Services.GetRequiredService<TimeProvider>());
    }

    [Theory]
    [InlineData("grpc")]
    [InlineData("http/protobuf")]
    public async Task AddServiceDefaults_Endpoint_SendsSpansMetricsAndLogsThere(string protocol)
    {
        await using var receiver = await OtlpReceiver.StartAsync(Token);
        await RunAsync(receiver, protocol, new() { ["OTEL_EXPORTER_OTLP_HEADERS"] = $"authorization={Secret}" });

        var span = Assert.Single(receiver.Spans, span => span.Name == "span of the test");
        Assert.Equal(("splitfrozen-test", TelemetryNames.Trainer, "17"), (span.Service, span.Source, span.Attributes[TelemetryNames.Step]));
        var point = receiver.Points.Last(point => point.Name == "splitfrozen.test");
        Assert.Equal((5, "1"), (point.Value, point.Unit));
        var log = Assert.Single(receiver.LogRecords, log => log.Body == "within the span: 17");
        Assert.Equal((span.TraceId, span.SpanId), (log.TraceId, log.SpanId));
        Assert.DoesNotContain(Secret, receiver.Everything, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("always_off", null, false)]
    [InlineData("traceidratio", "0", false)]
    [InlineData("traceidratio", "1", true)]
    [InlineData("parentbased_traceidratio", "0", false)]
    [InlineData("parentbased_always_on", null, true)]
    public async Task AddServiceDefaults_Sampler_DecidesWhichTracesAreSent(string sampler, string? argument, bool isSent)
    {
        await using var receiver = await OtlpReceiver.StartAsync(Token);
        await RunAsync(receiver, "http/protobuf", new() { ["OTEL_TRACES_SAMPLER"] = sampler, ["OTEL_TRACES_SAMPLER_ARG"] = argument });

        Assert.Equal(isSent, receiver.Spans.Any());
        Assert.Contains(receiver.LogRecords, log => log.Body == "within the span: 17");
    }

    [Fact]
    public async Task AddServiceDefaults_NameAndAttributesInTheEnvironment_GoBefore()
    {
        await using var receiver = await OtlpReceiver.StartAsync(Token);
        await RunAsync(receiver, "grpc", new() { ["OTEL_SERVICE_NAME"] = "mine" });

        Assert.Equal("mine", Assert.Single(receiver.Spans).Service);
    }

    [Fact]
    public async Task AddServiceDefaults_EndpointOfOneSignal_SendsItElsewhere()
    {
        await using var receiver = await OtlpReceiver.StartAsync(Token);
        await using var other = await OtlpReceiver.StartAsync(Token);
        var traces = other.Settings("http/protobuf")["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces";
        await RunAsync(receiver, "http/protobuf", new() { ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = traces });

        Assert.Empty(receiver.Spans);
        Assert.NotEmpty(receiver.LogRecords);
        Assert.Single(other.Spans);
        Assert.Empty(other.LogRecords);
    }

    [Fact]
    public async Task CreateEarlyLoggers_Endpoint_SendsLogsThere()
    {
        await using var receiver = await OtlpReceiver.StartAsync(Token);
        var builder = Host.CreateEmptyApplicationBuilder(settings: null);
        foreach (var (name, value) in receiver.Settings("http/protobuf"))
        {
            builder.Configuration[name] = value;
        }

        builder.AddServiceDefaults("splitfrozen-test");
        using (var loggers = builder.CreateEarlyLoggers())
        {
            loggers.CreateLogger("early").LogWarning("before the host");
        }

        Assert.Equal("splitfrozen-test", Assert.Single(receiver.LogRecords, log => log.Body == "before the host").Service);
    }

    /// <summary>A host that starts a span, counts to 5 and logs a line, and ends.</summary>
    private static async Task RunAsync(OtlpReceiver receiver, string protocol, Dictionary<string, string?> settings)
    {
        var builder = Host.CreateEmptyApplicationBuilder(settings: null);
        builder.Configuration.AddInMemoryCollection(receiver.Settings(protocol).Select(pair => KeyValuePair.Create(pair.Key, (string?)pair.Value)).Concat(settings));
        builder.AddServiceDefaults("splitfrozen-test");
        using var host = builder.Build();
        await host.StartAsync(Token);
        using var source = new ActivitySource(TelemetryNames.Trainer);
        using var meter = new Meter(TelemetryNames.Trainer);
        meter.CreateCounter<long>("splitfrozen.test", "1").Add(5);
        using (source.StartActivity("span of the test")?.SetTag(TelemetryNames.Step, 17))
        {
            host.Services.GetRequiredService<ILogger<ServiceDefaultsTests>>().LogWarning("within the span: {Step}", 17);
        }

        await host.StopAsync(Token);
    }
}
