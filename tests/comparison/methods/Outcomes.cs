namespace SplitFrozen.Comparison.Methods.Tests;

/// <summary>Comparisons of what methods trained.</summary>
internal static class Outcomes
{
    /// <summary>Same names, same bits, same metrics.</summary>
    public static void AssertSameBits(MethodOutcome expected, MethodOutcome actual)
    {
        Assert.Equal(0.0, LargestDifference(expected.Trained, actual.Trained));
        Assert.Equal(expected.Epochs.Select(epoch => epoch.TrainingLoss), actual.Epochs.Select(epoch => epoch.TrainingLoss));
        Assert.Equal(expected.Epochs.SelectMany(epoch => epoch.Metrics), actual.Epochs.SelectMany(epoch => epoch.Metrics));
    }

    /// <summary>Largest difference of an element over all tensors, which must have the same names.</summary>
    public static double LargestDifference(IReadOnlyList<TrainedTensor> expected, IReadOnlyList<TrainedTensor> actual)
    {
        Assert.Equal(expected.Select(tensor => tensor.Name), actual.Select(tensor => tensor.Name));
        return expected.Zip(actual).Max(pair => pair.First.Values.Zip(pair.Second.Values).Max(values => Math.Abs((double)values.First - values.Second)));
    }
}
