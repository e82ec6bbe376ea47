using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Tests.Wire;

public sealed class SampleIdTests
{
    /// <summary>Against the reference implementation of XXH3 (libxxhash 0.8.1), shifted by two bits.</summary>
    [Theory]
    [InlineData("site-1", 0, 0UL, 0UL, 3094877393123164068)]
    [InlineData("site-1", 1, 0UL, 0UL, 4318020731146084446)]
    [InlineData("site-2", 0, 0UL, 0UL, 2995850606334889980)]
    [InlineData("Düsseldorf", 70000, 1UL << 63, 5UL, 4026409974736362535)]
    public void OfDevice_IsTheDocumentedHash(string client, int row, ulong upper, ulong lower, long expected) =>
        Assert.Equal(new SampleId(expected), SampleId.OfDevice(client, row, new ContentDigest(new UInt128(upper, lower))));

    [Fact]
    public void OfDevice_ManyDevicesAndRows_AreDistinctTrainingIds()
    {
        var ids = Enumerable.Range(0, 50).SelectMany(device => Enumerable.Range(0, 2000).Select(row => SampleId.OfDevice($"d{device}", row, default))).ToArray();
        Assert.Equal(ids.Length, ids.Distinct().Count());
        Assert.All(ids, id => Assert.False(id.IsEvaluation));
        Assert.All(ids, id => Assert.InRange(id.Value, 0, (1L << 62) - 1));
    }

    [Fact]
    public void Row_OfADevicesOwnData_IsRefusedAndItsTextIsTheNumber()
    {
        var id = new SampleId(3094877393123164068);
        Assert.Throws<OverflowException>(() => id.Row);
        Assert.Equal("train:3094877393123164068", id.ToString());
        Assert.Equal(("eval:7", 7), (SampleId.Evaluation(7).ToString(), SampleId.Evaluation(7).Row));
    }
}
