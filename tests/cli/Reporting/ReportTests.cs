using System.Xml.Linq;
using SplitFrozen.Cli.Reporting;
using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Cli.Tests.Reporting;

public sealed class ReportTests
{
    private static readonly RunFacts s_facts = new(
        new RunSpec { Name = "demo", Model = new ModelSpec { Path = "base", Boundary = 3 }, Lora = new LoraSpec { Targets = ["c_attn"] }, Task = new TaskSpec { Kind = "sst2" } },
        "splitfrozen run demo.yaml --set 'name=a b'", "runs/demo", "accuracy", 6, new string('a', 64), 12_345, 100, 20, 0, 0.55);

    [Fact]
    public void Write_WholeRun_SaysWhatRanWhatItReachedAndWhatItCost()
    {
        var report = SampleEvents.Progress().Read(view => RunReport.Write(s_facts, view));
        Assert.Contains("splitfrozen run demo.yaml --set 'name=a b'", report, StringComparison.Ordinal);
        Assert.Contains("| frozen boundary | 3 of 6 blocks", report, StringComparison.Ordinal);
        Assert.Contains("| before training | 0 | 50.0 % | 0.7000 |", report, StringComparison.Ordinal);
        Assert.Contains("| after epoch 1 | 4 | 75.0 % | 0.4500 |", report, StringComparison.Ordinal);
        Assert.Contains("commonest class would reach an accuracy of 55.0 %", report, StringComparison.Ordinal);
        Assert.Contains("| client-10 | 60 | 40 | 400 | 2.00 GFLOP | 1.00 MiB | 0.50 s |", report, StringComparison.Ordinal);
        Assert.Contains("| device forward compute | 3.50 GFLOP (3,500,000,000 FLOPs) |", report, StringComparison.Ordinal);
        Assert.Contains("| cache hits when the run was planned | 30 of 120 samples |", report, StringComparison.Ordinal);
    }

    [Fact]
    public void Draw_WholeRun_IsWellFormedSvgWithBothCurves()
    {
        var svg = SampleEvents.Progress().Read(view => RunPlot.Draw("demo <1>", view, "accuracy"));
        var root = XDocument.Parse(svg).Root!;
        Assert.Equal("svg", root.Name.LocalName);
        string[] curves = [.. root.Descendants().Where(e => e.Name.LocalName == "polyline").Select(e => ((string)e.Attribute("style")!).ToLowerInvariant())];
        Assert.Equal(2, curves.Count(style => style.Contains("rgb(31,119,180)", StringComparison.Ordinal)));
        Assert.Equal(1, curves.Count(style => style.Contains("rgb(214,39,40)", StringComparison.Ordinal)));
        Assert.Equal(2, root.Descendants().Count(e => e.Name.LocalName == "ellipse"));
        Assert.Contains("held-out accuracy", svg, StringComparison.Ordinal);
        Assert.Matches(@"\d\.0 %", svg);
    }

    [Fact]
    public void Draw_EvaluationsWithoutTheHeadlineMetric_ShowTheLoss()
    {
        var svg = SampleEvents.Progress().Read(view => RunPlot.Draw("demo", view, "exact_match"));
        Assert.Contains("held-out loss", svg, StringComparison.Ordinal);
        Assert.Equal(2, XDocument.Parse(svg).Root!.Descendants().Count(e => e.Name.LocalName == "ellipse"));
    }

    [Fact]
    public void Draw_RunWithoutSteps_IsStillAPicture() =>
        XDocument.Parse(SampleEvents.Progress([]).Read(view => RunPlot.Draw("demo", view, "accuracy")));
}
