using Microsoft.Extensions.Logging.Abstractions;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Coordinator;
using SplitFrozen.Messaging;
using SplitFrozen.Services.Tests.Support;

namespace SplitFrozen.Services.Tests.Coordinator;

public sealed class ActivationIngestTests
{
    /// <summary>A queue has one consumer: one that is forgotten would keep its messages from everybody.</summary>
    [Fact]
    public async Task Run_CancelledWhileQueuesAreOpened_ClosesThoseThatAreOpen()
    {
        var directory = new SampleDirectory(FakeDevice.Fingerprint, FakeDevice.Width, WireType.Float32);
        for (var client = 0; client < 3; client++)
        {
            Assert.Null(directory.Add($"c{client}", 1, [new ManifestEntry(SampleId.Training(client), 1, new ContentDigest((UInt128)client))]));
        }

        var options = new CoordinatorOptions
        {
            RunId = "run", Clients = ["c0", "c1", "c2"], ModelFingerprint = FakeDevice.Fingerprint, Boundary = 1, Width = FakeDevice.Width, WireType = WireType.Float32,
            LabelsPerToken = false, LabelBound = 3, MaximumLength = 8, Seed = 1, Epochs = 1, BatchSize = 1,
        };
        using var stop = new CancellationTokenSource();
        var source = new StoppingSource(stop, opensBeforeStop: 2);
        await using var control = new InProcessControlPlane();
        using var ingest = new ActivationIngest(options, directory, source, new MemoryCache(), new MemoryLedger(), control, new Refusals("run", control, NullLogger.Instance), _ => { });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ingest.RunAsync(stop.Token));
        Assert.Equal((2, 2), (source.Opened, source.Closed));
    }

    private sealed class StoppingSource(CancellationTokenSource stop, int opensBeforeStop) : IActivationSource
    {
        public int Opened { get; private set; }

        public int Closed { get; private set; }

        public async Task<IActivationSubscription> SubscribeAsync(string runId, string clientId, int prefetch, CancellationToken cancellationToken)
        {
            if (Opened == opensBeforeStop)
            {
                await stop.CancelAsync();
                cancellationToken.ThrowIfCancellationRequested();
            }

            Opened++;
            return new Subscription(this);
        }

        private sealed class Subscription(StoppingSource source) : IActivationSubscription
        {
            public bool TryReceive(out IActivationDelivery? delivery)
            {
                delivery = null;
                return false;
            }

            public async ValueTask<bool> WaitAsync(CancellationToken cancellationToken)
            {
                await Task.Delay(Timeout.Infinite, cancellationToken);
                return false;
            }

            public ValueTask DisposeAsync()
            {
                source.Closed++;
                return ValueTask.CompletedTask;
            }
        }
    }
}
