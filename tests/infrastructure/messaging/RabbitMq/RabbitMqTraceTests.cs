using System.Diagnostics;
using System.Text;
using RabbitMQ.Client;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.Messaging.RabbitMq;
using SplitFrozen.Tests;

namespace SplitFrozen.Messaging.Tests.RabbitMq;

/// <summary>Spans of messages: alike over the broker and within one process.</summary>
public sealed class RabbitMqTraceTests(Broker broker) : RabbitMqTests(broker)
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Message_PublishedInASpan_IsProcessedBelowIt(bool inProcess)
    {
        using var recorded = new RecordedActivities(TelemetryNames.Messaging);
        var (publisher, source) = Planes(inProcess);
        using var caller = new Activity("caller").SetIdFormat(ActivityIdFormat.W3C).Start();
        caller.ActivityTraceFlags = ActivityTraceFlags.Recorded;
        await publisher.PublishAsync(Run, "a", new byte[] { 1, 2, 3 }, Token);
        Activity.Current = null;

        await using var subscription = await source.SubscribeAsync(Run, "a", 1, Token);
        var delivery = await Receive(subscription);
        delivery.Trace.StartProcess()!.Dispose();
        await delivery.AcknowledgeAsync(Token);

        var publish = Assert.Single(recorded.Ended, span => span.Kind == ActivityKind.Producer);
        var process = Assert.Single(recorded.Ended, span => span.Kind == ActivityKind.Consumer);
        Assert.Equal(("publish splitfrozen.activations.{run}.{client}", caller.SpanId), (publish.DisplayName, publish.ParentSpanId));
        Assert.Equal(("process splitfrozen.activations.{run}.{client}", publish.SpanId, publish.TraceId), (process.DisplayName, process.ParentSpanId, process.TraceId));
        foreach (var span in new[] { publish, process })
        {
            Assert.Equal(RabbitMqTopology.ActivationQueue(Run, "a"), span.GetTagItem("messaging.destination.name"));
            Assert.Equal(inProcess ? "in_process" : "rabbitmq", span.GetTagItem("messaging.system"));
            Assert.Equal(3, span.GetTagItem("messaging.message.body.size"));
        }

        Assert.Equal("confirmed", publish.GetTagItem(TelemetryNames.PublishOutcome));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Step_PublishedInASpan_IsProcessedBelowIt(bool inProcess)
    {
        using var recorded = new RecordedActivities(TelemetryNames.Messaging);
        var inner = new InProcessDataPlane();
        var plane = Plane(Options(QueueKind.Classic));
        var (publisher, source) = inProcess ? ((IStepPublisher)inner, (IStepSource)inner) : (plane, plane);
        await publisher.PublishAsync(new StepMessage(Run, "i", 0, 1, StepKind.Train, 0, 0, 1, 0, 1, true, []), Token);

        await foreach (var delivery in source.ReceiveAsync(Run, Token))
        {
            delivery.Trace.StartProcess(samples: 0)!.Dispose();
            break;
        }

        var publish = Assert.Single(recorded.Ended, span => span.Kind == ActivityKind.Producer);
        var process = Assert.Single(recorded.Ended, span => span.Kind == ActivityKind.Consumer);
        Assert.Equal("process splitfrozen.steps.{run}", process.DisplayName);
        Assert.Equal(publish.SpanId, process.ParentSpanId);
    }

    [Fact]
    public async Task Message_QueueFull_IsToldOnTheSpan()
    {
        using var recorded = new RecordedActivities(TelemetryNames.Messaging);
        var plane = new InProcessDataPlane(new InProcessDataPlaneOptions { MaximumQueueBytes = 4 });
        await plane.PublishAsync(Run, "a", new byte[3], Token);
        Assert.Equal(PublishOutcome.QueueFull, await plane.PublishAsync(Run, "a", new byte[3], Token));

        Assert.Equal(["confirmed", "queue_full"], recorded.Ended.Select(span => span.GetTagItem(TelemetryNames.PublishOutcome)));
    }

    [Fact]
    public async Task Message_HostileTraceContext_IsDeliveredWithoutIt()
    {
        var channel = await RawChannel();
        var plane = Plane(Options(QueueKind.Classic));
        await using var subscription = await plane.SubscribeAsync(Run, "a", 16, Token);
        object?[] hostile =
        [
            "no context", 7, new Dictionary<string, object?> { ["a"] = "b" }, new List<object?> { 1 }, new string('0', 50_000), Encoding.UTF8.GetBytes("00-\u00e9"), null,
            "00-00000000000000000000000000000000-0000000000000000-01",
        ];
        foreach (var value in hostile)
        {
            var properties = new BasicProperties
            {
                UserId = new Uri(Server.ConnectionString).UserInfo.Split(':')[0], MessageId = "m", Headers = new Dictionary<string, object?> { ["traceparent"] = value },
            };
            await channel.BasicPublishAsync(RabbitMqTopology.ActivationExchange, $"{Run}.a", mandatory: true, properties, new byte[] { 1 }, Token);
        }

        for (var n = 0; n < hostile.Length; n++)
        {
            var delivery = await Receive(subscription);
            Assert.Equal(default, delivery.Trace.Parent);
            Assert.Equal("m", delivery.Trace.MessageId);
            await delivery.AcknowledgeAsync(Token);
        }
    }

    [Fact]
    public async Task Process_WithoutContext_BeginsATraceOfItsOwn()
    {
        var plane = new InProcessDataPlane();
        await plane.PublishAsync(Run, "a", new byte[] { 1 }, Token);
        await using var subscription = await plane.SubscribeAsync(Run, "a", 1, Token);
        var delivery = await Receive(subscription);

        using var recorded = new RecordedActivities(TelemetryNames.Messaging);
        using var unrelated = new Activity("the request that once started the loop").SetIdFormat(ActivityIdFormat.W3C).Start();
        using var process = delivery.Trace.StartProcess();
        Assert.Equal((default, true), (process!.ParentSpanId, process.TraceId != unrelated.TraceId));
    }

    private (IActivationPublisher Publisher, IActivationSource Source) Planes(bool inProcess)
    {
        if (inProcess)
        {
            var plane = new InProcessDataPlane();
            return (plane, plane);
        }

        var over = Plane(Options(QueueKind.Classic));
        return (over, over);
    }
}
