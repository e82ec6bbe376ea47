using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Coordinator;
using SplitFrozen.Services.Tests.Support;

namespace SplitFrozen.Services.Tests.Coordinator;

/// <summary>Under which keys the activations of a run lie in the cache.</summary>
public sealed class SampleDirectoryTests
{
    private readonly SampleDirectory _directory = new(FakeDevice.Fingerprint, 4, WireType.Float32);

    [Fact]
    public void Key_OfTheSameContent_IsSharedByClientsOfTheSpecAndNeverByDevices()
    {
        // A device says itself what stands behind a digest; it could name that of another's sample, and put something else in its place.
        var keys = new[] { "client-1", "client-2", "evaluation", "pi-3", "pi-4" }.Select((client, row) =>
        {
            var id = SampleId.Training(row);
            Assert.Null(_directory.Add(client, 1, [new ManifestEntry(id, 3, new ContentDigest(7))]));
            return _directory.Key(_directory[id]);
        }).ToArray();
        Assert.Equal(keys[0], keys[1]);
        Assert.Equal(keys[0], keys[2]);
        Assert.Equal(3, keys.Distinct().Count());
    }
}
