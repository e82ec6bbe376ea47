using static TorchSharp.torch;

namespace SplitFrozen.Comparison.Methods.Tests;

public sealed class AveragingTests
{
    [Fact]
    public void Weighted_ThreeClients_IsTheSumByHand()
    {
        using var first = tensor(new[] { 1f, -2f, 0f });
        using var second = tensor(new[] { 3f, 4f, 8f });
        using var third = tensor(new[] { -1f, 0.5f, 16f });

        using var average = Averaging.Weighted([first, second, third], [0.5, 0.25, 0.25]);

        Assert.Equal([1f, 0.125f, 6f], average.data<float>().ToArray());
    }

    [Fact]
    public void Weighted_OneClient_KeepsItsBits()
    {
        using var only = tensor(new[] { 0.1f, -0f, float.Epsilon, 3e38f });

        using var average = Averaging.Weighted([only], [1]);

        Assert.Equal(only.data<float>().ToArray().Select(BitConverter.SingleToInt32Bits), average.data<float>().ToArray().Select(BitConverter.SingleToInt32Bits));
    }

    [Fact]
    public void Weighted_WithoutAWeightForEach_IsRefused()
    {
        using var only = ones(2);
        Assert.Contains("1 values and 2 weights", Assert.Throws<ArgumentException>(() => Averaging.Weighted([only], [0.5, 0.5])).Message, StringComparison.Ordinal);
    }
}
