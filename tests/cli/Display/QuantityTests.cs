using SplitFrozen.Cli.Display;

namespace SplitFrozen.Cli.Tests.Display;

public sealed class QuantityTests
{
    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1536, "1.50 KiB")]
    [InlineData(12.5 * 1024 * 1024, "12.5 MiB")]
    public void Bytes_Value_UsesBinaryUnits(double bytes, string expected) => Assert.Equal(expected, Quantity.Bytes(bytes));

    [Theory]
    [InlineData(0, "0")]
    [InlineData(2.5e9, "2.50 GFLOP")]
    [InlineData(123e12, "123 TFLOP")]
    public void Flops_Value_UsesDecimalUnits(double flops, string expected) => Assert.Equal(expected, Quantity.Flops(flops));

    [Theory]
    [InlineData(0.5, "0.50 s")]
    [InlineData(59.9, "59.9 s")]
    [InlineData(185, "3 m 05 s")]
    [InlineData(3720, "1 h 02 m")]
    public void Time_Value_ReadsNaturally(double seconds, string expected) => Assert.Equal(expected, Quantity.Time(TimeSpan.FromSeconds(seconds)));

    [Theory]
    [InlineData("accuracy", 0.755, "75.5 %")]
    [InlineData("loss", 0.5, "0.5000")]
    public void Metric_Value_SharesAreInPercent(string name, double value, string expected) => Assert.Equal(expected, Quantity.Metric(name, value));
}
