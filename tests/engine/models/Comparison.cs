using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

internal static class Comparison
{
    /// <summary>Norm of the difference over the norm of the expected tensor.</summary>
    public static double RelativeError(Tensor expected, Tensor actual)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(expected.shape, actual.shape);
        var wide = expected.to(ScalarType.Float64);
        return ((actual.to(ScalarType.Float64) - wide).norm() / (wide.norm() + 1e-300)).item<double>();
    }

    public static void AssertClose(Tensor expected, Tensor actual, double relative, string what)
    {
        var error = RelativeError(expected, actual);
        Assert.True(error <= relative, $"{what}: relative error {error:E2} exceeds {relative:E1}");
    }

    public static void AssertSameBits(Tensor expected, Tensor actual) =>
        Assert.True(expected.equal(actual).all().item<bool>(), $"differs by {(expected - actual).abs().max().item<float>():E2}");
}
