using SplitFrozen.Contracts.Telemetry;
using SplitFrozen.TestOtlp;

namespace SplitFrozen.Processes.Tests;

/// <summary>The spans of a run, and what must hold of them whichever transport carried its messages.</summary>
internal sealed class TraceTree
{
    private const string ActivationQueue = "splitfrozen.activations.{run}.{client}";
    private const string StepQueue = "splitfrozen.steps.{run}";

    private readonly ReceivedSpan[] _spans;
    private readonly ILookup<string, ReceivedSpan> _children;

    public TraceTree(IEnumerable<ReceivedSpan> spans)
    {
        _spans = [.. spans];
        _children = _spans.ToLookup(span => span.ParentId, StringComparer.Ordinal);
        Assert.Equal(_spans.Length, _spans.Select(span => span.SpanId).Distinct(StringComparer.Ordinal).Count());
    }

    public IEnumerable<ReceivedSpan> Named(string name) => _spans.Where(span => span.Name == name);

    /// <summary>Every batch is one trace: forward and publish on the device, the receipt below the publish, and below it validation and cache.</summary>
    /// <returns>The span of each batch's receipt, by its id.</returns>
    public IReadOnlyDictionary<string, ReceivedSpan> AssertBatches(string system)
    {
        var batches = Named(SpanNames.ActivationBatch).ToArray();
        Assert.NotEmpty(batches);
        var received = new Dictionary<string, ReceivedSpan>(StringComparer.Ordinal);
        foreach (var batch in batches)
        {
            Assert.Equal("", batch.ParentId);
            var forward = Child(batch, SpanNames.DeviceForward);
            var publish = Child(batch, "publish " + ActivationQueue);
            var process = Child(publish, "process " + ActivationQueue);
            Assert.True(batch.Start <= forward.Start && forward.End <= publish.Start && publish.End <= batch.End);
            Child(process, SpanNames.Validate);
            Child(process, SpanNames.Cache);
            Assert.Equal(("Producer", "Consumer"), (publish.Kind, process.Kind));
            AssertSameMessage(system, batch, publish, process);
            Assert.Equal(batch.Attributes[TelemetryNames.Samples], process.Attributes[TelemetryNames.Samples]);
            received.Add(process.SpanId, process);
        }

        return received;
    }

    /// <summary>
    /// Every step is one trace, linked to the batches that its samples came in: composition and publish, the receipt by the trainer, and below it
    /// fetch, the passes, the update, and a checkpoint after each step.
    /// </summary>
    public void AssertSteps(string system, IReadOnlyDictionary<string, ReceivedSpan> batches, int steps)
    {
        var composed = Named(SpanNames.ComposeStep).Where(span => span.Attributes[TelemetryNames.StepKind] == "train").ToArray();
        Assert.Equal(steps, composed.Length);
        foreach (var step in composed)
        {
            Assert.Equal("", step.ParentId);
            Assert.NotEmpty(step.Links);
            Assert.All(step.Links, link => Assert.Equal(batches[link.SpanId].TraceId, link.TraceId));
            var publish = Child(step, "publish " + StepQueue);
            var process = Child(publish, "process " + StepQueue);
            Assert.Equal(system, process.Attributes["messaging.system"]);
            Assert.Equal(step.Attributes[TelemetryNames.Sequence], process.Attributes[TelemetryNames.Sequence]);
            Child(process, SpanNames.Fetch);
            Child(process, SpanNames.Checkpoint);
            var train = Child(process, SpanNames.TrainStep);
            Assert.Equal(step.Attributes[TelemetryNames.Step], train.Attributes[TelemetryNames.Step]);
            string[] passes = [SpanNames.Forward, SpanNames.BackwardInput, SpanNames.BackwardWeight];
            var microBatches = _children[train.SpanId].Count(span => span.Name == SpanNames.Forward);
            Assert.True(microBatches > 0);
            Assert.Equal(
                Enumerable.Repeat(passes, microBatches).SelectMany(names => names).Append(SpanNames.OptimizerStep),
                _children[train.SpanId].OrderBy(span => span.Start).ThenBy(span => span.End).Select(span => span.Name));
        }

        Assert.Equal(batches.Count, Named(SpanNames.ComposeStep).SelectMany(step => step.Links).Select(link => link.SpanId).Distinct().Count());
    }

    /// <summary>The one span of a name below another, in the same trace.</summary>
    private ReceivedSpan Child(ReceivedSpan parent, string name)
    {
        var found = _children[parent.SpanId].Where(span => span.Name == name).ToArray();
        Assert.True(found.Length == 1, $"'{parent.Name}' of {parent.Service} has {found.Length} spans '{name}', but {string.Join(", ", _children[parent.SpanId].Select(span => span.Name))}");
        Assert.Equal(parent.TraceId, found[0].TraceId);
        return found[0];
    }

    private static void AssertSameMessage(string system, ReceivedSpan batch, ReceivedSpan publish, ReceivedSpan process)
    {
        var queue = $"splitfrozen.activations.{batch.Attributes[TelemetryNames.Run]}.{batch.Attributes[TelemetryNames.Client]}";
        foreach (var (span, operation) in new[] { (publish, "publish"), (process, "process") })
        {
            Assert.Equal(
                (system, queue, ActivationQueue, operation),
                (span.Attributes["messaging.system"], span.Attributes["messaging.destination.name"], span.Attributes["messaging.destination.template"],
                    span.Attributes["messaging.operation.name"]));
        }

        Assert.Equal(publish.Attributes["messaging.message.body.size"], process.Attributes["messaging.message.body.size"]);
        Assert.NotEmpty(process.Attributes["messaging.message.id"]);
    }
}
