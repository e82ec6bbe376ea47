using System.Globalization;

namespace SplitFrozen.Cli.Display;

/// <summary>Figures as people read them.</summary>
internal static class Quantity
{
    /// <summary>Bytes in binary units, for example <c>1.50 MiB</c>.</summary>
    public static string Bytes(double bytes) => Scaled(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);

    /// <summary>Floating-point operations, for example <c>12.3 GFLOP</c>; plain <c>0</c> for none.</summary>
    public static string Flops(double flops) => flops == 0 ? "0" : Scaled(flops, 1000, ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"]);

    /// <summary>A count, for example <c>12.3k</c> or <c>4.40M</c>.</summary>
    public static string Count(double count) => Scaled(count, 1000, ["", "k", "M", "G"]).Replace(" ", "", StringComparison.Ordinal);

    /// <summary>A time, for example <c>0.42 s</c>, <c>12.3 s</c>, <c>3 m 05 s</c> or <c>1 h 02 m</c>.</summary>
    public static string Time(TimeSpan time) => time switch
    {
        _ when time < TimeSpan.FromSeconds(10) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.00} s"),
        _ when time < TimeSpan.FromMinutes(1) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s"),
        _ when time < TimeSpan.FromHours(1) => $"{(int)time.TotalMinutes} m {time.Seconds:00} s",
        _ => $"{(int)time.TotalHours} h {time.Minutes:00} m",
    };

    /// <summary>A share of 1 in percent, for example <c>75.5 %</c>.</summary>
    public static string Percent(double share) => (share * 100).ToString("0.0", CultureInfo.InvariantCulture) + " %";

    /// <summary>A metric: shares in percent, losses as they are.</summary>
    public static string Metric(string name, double value) => IsShare(name)
        ? Percent(value)
        : value.ToString("0.0000", CultureInfo.InvariantCulture);

    /// <summary>True for metrics that are shares of 1.</summary>
    public static bool IsShare(string name) =>
        name.Contains("accuracy", StringComparison.Ordinal) || name.Contains("f1", StringComparison.Ordinal) || name.Contains("exact", StringComparison.Ordinal);

    private static string Scaled(double value, double step, string[] units)
    {
        var unit = 0;
        while (Math.Abs(value) >= step && unit < units.Length - 1)
        {
            value /= step;
            unit++;
        }

        var digits = unit == 0 ? "0" : value < 10 ? "0.00" : value < 100 ? "0.0" : "0";
        return (value.ToString(digits, CultureInfo.InvariantCulture) + " " + units[unit]).TrimEnd();
    }
}
