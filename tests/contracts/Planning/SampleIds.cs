using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Tests.Planning;

internal static class SampleIds
{
    /// <summary>The ids of a data set with so many training and held-out rows.</summary>
    public static SampleId[] Of(int training, int heldOut) =>
    [
        .. Enumerable.Range(0, training).Select(SampleId.Training),
        .. Enumerable.Range(0, heldOut).Select(SampleId.Evaluation),
    ];
}
