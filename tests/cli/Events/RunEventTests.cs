using System.Text.Json;
using SplitFrozen.Cli.Events;
using SplitFrozen.Contracts.Events;

namespace SplitFrozen.Cli.Tests.Events;

public sealed class RunEventTests
{
    [Fact]
    public void ToJson_EveryEvent_IsOneLineThatReadsBack()
    {
        foreach (var runEvent in SampleEvents.Run)
        {
            var line = runEvent.ToJson();
            Assert.DoesNotContain('\n', line);
            Assert.Equal(line, RunEvent.FromJson(line)!.ToJson());
        }
    }

    [Fact]
    public void ToJson_Step_HasSnakeCaseFieldsAndItsKind()
    {
        using var json = JsonDocument.Parse(SampleEvents.Step(1, 7, 0.25).ToJson());
        Assert.Equal("step_applied", json.RootElement.GetProperty("event").GetString());
        Assert.Equal(7, json.RootElement.GetProperty("step").GetInt32());
        Assert.Equal(1e-3, json.RootElement.GetProperty("learning_rate").GetDouble());
        Assert.Equal(0.2, json.RootElement.GetProperty("wait_seconds").GetDouble());
    }

    [Fact]
    public void FromJson_LineCutOffByAKill_IsNull() => Assert.Null(RunEvent.FromJson("""{"event":"step_applied","ti"""));

    [Fact]
    public void MetricsFile_TornLastLine_IsDroppedBeforeAppending()
    {
        var file = Path.Combine(Directory.CreateTempSubdirectory("metrics").FullName, "metrics.jsonl");
        File.WriteAllText(file, SampleEvents.Run[0].ToJson() + "\n{\"event\":\"step_app");
        using (var metrics = new MetricsFile(file))
        {
            metrics.Observe(SampleEvents.Run[1]);
        }

        Assert.Equal([SampleEvents.Run[0].ToJson(), SampleEvents.Run[1].ToJson()], File.ReadAllLines(file));
        Assert.Equal(2, MetricsFile.Read(file).Count());
    }
}
