using System.Globalization;
using System.Text;

namespace SplitFrozen.Bench;

/// <summary>What a figure should reach.</summary>
/// <param name="Limit">The limit, in the figure's unit.</param>
/// <param name="IsLeast">Whether the figure should be at least the limit, instead of at most.</param>
internal readonly record struct Target(double Limit, bool IsLeast)
{
    public static Target AtLeast(double limit) => new(limit, IsLeast: true);

    public static Target AtMost(double limit) => new(limit, IsLeast: false);

    public bool IsMetBy(double value) => IsLeast ? value >= Limit : value <= Limit;
}

/// <summary>Takes what benchmarks print, and the figures that go into one table at the end.</summary>
/// <param name="output">Takes the lines of the benchmarks.</param>
internal sealed class Report(TextWriter output)
{
    private readonly List<string> _rows = [];

    /// <summary>Takes the lines of a benchmark.</summary>
    public TextWriter Output => output;

    /// <summary>True where there is a figure for the table.</summary>
    public bool HasFigures => _rows.Count > 0;

    /// <summary>Adds a figure to the table.</summary>
    /// <param name="benchmark">The benchmark that measured it.</param>
    /// <param name="what">What it is.</param>
    /// <param name="value">The figure.</param>
    /// <param name="format">How to write it and its limit, as in <see cref="double.ToString(string)"/>.</param>
    /// <param name="target">What it should reach.</param>
    /// <param name="cpuHad">Share of the processors that the measurement had.</param>
    public void Add(string benchmark, string what, double value, string format, Target target, double cpuHad) => _rows.Add(string.Create(
        CultureInfo.InvariantCulture,
        $"| {benchmark} | {what} | {Text(value, format)} | {(target.IsLeast ? "at least" : "at most")} {Text(target.Limit, format)} | {(target.IsMetBy(value) ? "met" : "**missed**")} | {Math.Min(cpuHad, 1):P0} |"));

    /// <summary>All figures as a table in Markdown, under the machine and the versions.</summary>
    public async Task<string> TableAsync()
    {
        var text = new StringBuilder()
            .AppendLine(CultureInfo.InvariantCulture, $"{Machine.Description}, TorchSharp {Machine.VersionOf(typeof(TorchSharp.torch))}, RabbitMQ {await Machine.PackageVersionAsync("rabbitmq-server").ConfigureAwait(false)}, {await Machine.VersionOfAsync("redis-server").ConfigureAwait(false)}")
            .AppendLine().AppendLine("| benchmark | figure | measured | target | | CPU had |").AppendLine("| --- | --- | --- | --- | --- | --- |");
        _rows.ForEach(row => text.AppendLine(row));
        return text.ToString();
    }

    private static string Text(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
