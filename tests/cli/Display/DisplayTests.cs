using Microsoft.Extensions.Time.Testing;
using Spectre.Console;
using SplitFrozen.Cli.Display;
using SplitFrozen.Cli.Events;
using LiveDisplay = SplitFrozen.Cli.Display.LiveDisplay;

namespace SplitFrozen.Cli.Tests.Display;

public sealed class DisplayTests
{
    [Fact]
    public void PlainDisplay_ManySteps_WritesOneLineEveryFiveSeconds()
    {
        var time = new FakeTimeProvider(SampleEvents.Start);
        var (output, progress) = (new StringWriter(), SampleEvents.Progress([SampleEvents.Run[1]]));
        var display = new PlainDisplay(output, progress, time);
        for (var step = 0; step < 12; step++)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            var applied = SampleEvents.Step(step + 1, step, 0.5);
            progress.Observe(applied);
            display.Observe(applied);
        }

        var lines = output.ToString().Trim().Split('\n');
        Assert.Equal(2, lines.Length);
        Assert.StartsWith("step 5/4  loss 0.500  250 tokens/s", lines[0], StringComparison.Ordinal);
        Assert.Contains("starved 20%", lines[0], StringComparison.Ordinal);
    }

    [Fact]
    public void PlainDisplay_Milestones_AreWrittenAtOnce()
    {
        var output = new StringWriter();
        var display = new PlainDisplay(output, SampleEvents.Progress(), new FakeTimeProvider(SampleEvents.Start));
        foreach (var runEvent in SampleEvents.Run)
        {
            display.Observe(runEvent);
        }

        var text = output.ToString();
        Assert.Contains("planned: 100 training and 20 held-out samples over 2 clients, 30 cached already, 4 steps", text, StringComparison.Ordinal);
        Assert.Contains("evaluation before training: accuracy 50.0 %", text, StringComparison.Ordinal);
        Assert.Contains("evaluation after epoch 1: accuracy 75.0 %", text, StringComparison.Ordinal);
    }

    [Fact]
    public void LiveDisplay_InTheMiddleOfARun_ShowsClientsAndTrainer()
    {
        var time = new FakeTimeProvider(SampleEvents.At(4.5));
        var output = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output), Ansi = AnsiSupport.No });
        console.Profile.Width = 120;
        console.Profile.Height = 40;
        var progress = new RunProgress();
        var display = new LiveDisplay(console, progress, time, CancellationToken.None);
        foreach (var runEvent in SampleEvents.Run.Take(9))
        {
            progress.Observe(runEvent);
            display.Observe(runEvent);
        }

        console.Write(display.Render());
        var text = output.ToString();
        Assert.Matches(@"client-10 +━+ +40 +60 +\d+ +2\.00 GFLOP +1\.00 MiB", text);
        Assert.Contains("step 3/4", text, StringComparison.Ordinal);
        Assert.Contains("starved 20%", text, StringComparison.Ordinal);
        Assert.Contains("before training: accuracy 50.0 %", text, StringComparison.Ordinal);
    }
}
