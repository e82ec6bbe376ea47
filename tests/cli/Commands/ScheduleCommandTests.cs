using System.Text.Json;
using System.Xml.Linq;

namespace SplitFrozen.Cli.Tests.Commands;

public sealed class ScheduleCommandTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("splitfrozen-schedule-");

    [Fact]
    public async Task Schedule_ZeroBubble_PrintsPlanTimelineAndBubble()
    {
        var result = await TinyWorkspace.RunAsync(["schedule", "--stages", "2", "--micro-batches", "3", "--kind", "zb"]);

        Assert.Equal(ExitCodes.Success, result.Code);
        Assert.Equal("stage 1  F0 F1 B0 W0 F2 B1 W1 B2 W2", result.Lines[0]);
        Assert.Equal("stage 2  F0 B0 F1 B1 W0 F2 B2 W1 W2", result.Lines[1]);
        Assert.Matches(@"^stage 2  \.+F+B+F+B+W+F+B+W+$", result.Lines[3]);
        Assert.Contains(result.Lines, line => line.StartsWith("bubble          10.0 % of the stages' time", StringComparison.Ordinal));
        Assert.Contains("held at a time  2, 2 micro-batches", result.Lines);
    }

    [Fact]
    public async Task Schedule_WithDevicesSendsAndDrawing_WritesJsonAndSvg()
    {
        var file = Path.Combine(_folder.FullName, "timeline.svg");
        var result = await TinyWorkspace.RunAsync(
            ["schedule", "--stages", "2", "--micro-batches", "4", "--kind", "1f1b", "--devices", "1", "--costs", "1,1.5,0.1", "--sends", "--svg", file, "--json"]);

        Assert.Equal(ExitCodes.Success, result.Code);
        var stages = JsonDocument.Parse(result.Lines.Single()).RootElement.GetProperty("stages").EnumerateArray().ToArray();
        Assert.Equal(["device 1", "stage 1", "stage 2"], stages.Select(stage => stage.GetProperty("name").GetString()));
        Assert.Equal("F0 a>0 F1 a>1 F2 a>2 F3 a>3", string.Join(' ', stages[0].GetProperty("actions").EnumerateArray().Select(action => action.GetString())));
        var drawing = XDocument.Parse(await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken)).Root!;
        string[] texts = [.. drawing.Descendants().Where(element => element.Name.LocalName == "text").Select(element => element.Value.Trim())];
        Assert.Contains("device 1", texts);
        Assert.True(texts.Count(text => text == "3") >= 5, "the last micro-batch is in a bar on the device and in two on each stage");
    }

    [Theory]
    [InlineData("--kind", "magic", "--kind magic: expected gpipe, 1f1b or zb.")]
    [InlineData("--costs", "1,1", "--costs 1,1: expected three numbers")]
    [InlineData("--stages", "0", "0 stages; at least 1 is needed")]
    public async Task Schedule_BadOption_IsOneClearError(string option, string value, string error)
    {
        var result = await TinyWorkspace.RunAsync(["schedule", option, value]);

        Assert.Equal(ExitCodes.BadInput, result.Code);
        Assert.Contains(error, result.Error, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Delete(recursive: true);
}
