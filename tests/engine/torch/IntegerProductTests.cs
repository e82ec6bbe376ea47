using SplitFrozen.Torch;
using SplitFrozen.Torch.Kernels;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Torch;

public sealed class IntegerProductTests
{
    public IntegerProductTests() => LibtorchLoader.Load();

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(64, 16, 24)]
    [InlineData(37, 172, 65)]
    [InlineData(256, 3072, 768)]
    public void MultiplyInto_LargestAndRandomNumbers_IsExact(long rows, long depth, long width)
    {
        using var scope = NewDisposeScope();
        foreach (var (a, b) in new[]
        {
            (full([rows, depth], -128, ScalarType.Int8), full([width, depth], 127, ScalarType.Int8)),
            (full([rows, depth], 127, ScalarType.Int8), full([width, depth], 127, ScalarType.Int8)),
            (randint(-128, 128, [rows, depth], ScalarType.Int8), randint(-127, 128, [width, depth], ScalarType.Int8)),
        })
        {
            var (product, exact) = (empty([rows, width], ScalarType.Int32), empty([rows, width], ScalarType.Int32));
            IntegerProduct.MultiplyInto(product, a, b);
            IntegerProduct.MultiplyInDoubles(exact, a, b);
            Assert.Equal(exact.data<int>().ToArray(), product.data<int>().ToArray());
        }
    }

    [Fact]
    public void MultiplyInto_SumThatCouldLeave32Bits_IsRefused()
    {
        using var scope = NewDisposeScope();
        var depth = IntegerProduct.LargestDepth + 1L;
        Assert.Throws<ArgumentException>(() => IntegerProduct.MultiplyInto(empty([1, 1], ScalarType.Int32), zeros([1, depth], ScalarType.Int8), zeros([1, depth], ScalarType.Int8)));
    }

    [Theory]
    [InlineData(1, 48, 20)]
    [InlineData(300, 172, 64)]
    public void Int8Rows_OfAnyScale_KeepFifteenBits(long rows, long depth, long width)
    {
        using var scope = NewDisposeScope();
        var x = randn(rows, depth) * pow(tensor(10.0f), randint(-6, 7, [rows, 1]).to(ScalarType.Float32));
        x[0] = zeros(depth);
        var weight = randint(-127, 128, [width, depth], ScalarType.Int8);
        var (scales, bias) = (rand(width) + 0.1f, randn(width));
        var y = Int8Rows.Multiply(x, weight, scales, bias);

        var exact = x.to(ScalarType.Float64).mm((weight.to(ScalarType.Float64) * scales.to(ScalarType.Float64).unsqueeze(1)).t());
        var bound = (x.abs().amax([1L], keepdim: true) / 32512 * 0.51 * (weight.abs().to(ScalarType.Float32).sum(1) * scales).unsqueeze(0)).to(ScalarType.Float64);
        var error = (y.to(ScalarType.Float64) - bias.to(ScalarType.Float64) - exact).abs();
        Assert.True((error <= bound + (exact.abs() * 1e-5) + 1e-5).all().item<bool>());
        Assert.Equal(bias.data<float>().ToArray(), y[0].data<float>().ToArray());
    }
}
