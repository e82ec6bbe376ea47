using System.Collections.Concurrent;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>A client without a model: answers work with made-up hidden states that follow from the sample id.</summary>
internal sealed class FakeDevice : IDisposable
{
    public const string Fingerprint = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    public const int Width = 4;
    public const int Classes = 3;

    private readonly string _runId;
    private readonly string _clientId;
    private readonly IActivationPublisher _publisher;
    private readonly IControlPlane _control;
    private readonly IDisposable[] _subscriptions;
    private readonly string _instance;
    private readonly SampleId[] _samples;

    public FakeDevice(string runId, string clientId, SampleId[] samples, IControlPlane control, IActivationPublisher publisher, string instance = "1")
    {
        (_runId, _clientId, _samples, _control, _publisher, _instance) = (runId, clientId, samples, control, publisher, instance);
        _subscriptions =
        [
            control.Subscribe<WorkAssigned>(WorkAsync, clientId),
            control.Subscribe<CoordinatorReady>(async (_, _) => await RegisterAsync()),
        ];
    }

    /// <summary>Samples that it was asked for, in order, with repeats.</summary>
    public ConcurrentQueue<SampleId> Asked { get; } = new();

    /// <summary>Takes the place of the body that would be sent for a sample.</summary>
    public Func<SampleId, byte[], byte[]> Tamper { get; set; } = (_, body) => body;

    /// <summary>When it completes the device answers; until then work waits.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    public string ModelFingerprint { get; set; } = Fingerprint;

    public static int Length(SampleId id) => 1 + (int)(id.Value % 5);

    public async Task RegisterAsync() => await _control.PublishAsync(
        new ClientRegistered(
            _runId, _clientId, _instance, ModelFingerprint, 1,
            [.. _samples.Select(id => new ManifestEntry(id, Length(id), new ContentDigest((UInt128)(ulong)id.Value + 7)))], null),
        CancellationToken.None);

    public static byte[] Body(string runId, string clientId, SampleId id)
    {
        var states = new byte[Length(id) * Width * sizeof(float)];
        BitConverter.TryWriteBytes(states, (float)id.Value);
        return ActivationBatchCodec.Encode(new ActivationBatch
        {
            RunId = runId,
            ClientId = clientId,
            ModelFingerprint = Fingerprint,
            Cut = 1,
            Width = Width,
            WireType = WireType.Float32,
            Lengths = [Length(id)],
            SampleIds = [id],
            Labels = [(int)(id.Value % Classes)],
            LabelsPerToken = false,
            HiddenStates = states,
        });
    }

    public void Dispose()
    {
        foreach (var subscription in _subscriptions)
        {
            subscription.Dispose();
        }
    }

    private async ValueTask WorkAsync(WorkAssigned work, CancellationToken cancellationToken)
    {
        if (work.ClientId != _clientId)
        {
            return;
        }

        await Gate.WaitAsync(cancellationToken);
        foreach (var id in work.Samples)
        {
            Asked.Enqueue(id);
            var body = Tamper(id, Body(_runId, _clientId, id));
            while (await _publisher.PublishAsync(_runId, _clientId, body, cancellationToken) == PublishOutcome.QueueFull)
            {
                await Task.Yield();
            }
        }

        await _control.PublishAsync(new WorkFinished(_runId, _clientId, work.Sequence), cancellationToken);
    }
}
