namespace SplitFrozen.Torch.Tests;

public sealed class PhaseTimesTests
{
    [Fact]
    public void In_PhasesWithinPhases_TakeTheirTimeFromWhatIsAround()
    {
        var times = PhaseTimes.Start();
        using (PhaseTimes.In("outer"))
        {
            Work();
            using (PhaseTimes.In("inner"))
            {
                Work();
            }

            Work();
        }

        times.Stop();

        Assert.Equal(["inner", "outer", PhaseTimes.Rest], times.Spent.Keys.Order(StringComparer.Ordinal));
        Assert.All(["inner", "outer"], phase => Assert.True(times.Spent[phase] > TimeSpan.Zero));
    }

    [Fact]
    public void In_PhaseThatThrows_IsLeft()
    {
        var times = PhaseTimes.Start();
        Assert.Throws<InvalidOperationException>(Fail);
        var before = times.Spent["fails"];
        Work();
        times.Stop();

        Assert.Equal(before, times.Spent["fails"]);
    }

    [Fact]
    public void In_WithoutAMeasurement_OrAfterIt_IsNothing()
    {
        using (PhaseTimes.In("before"))
        {
            Work();
        }

        var times = PhaseTimes.Start();
        times.Stop();
        using (PhaseTimes.In("after"))
        {
            Work();
        }

        Assert.Equal([PhaseTimes.Rest], times.Spent.Keys);
    }

    [Fact]
    public void Start_Twice_IsRefusedAndTheFirstGoesOn()
    {
        var times = PhaseTimes.Start();
        Assert.Throws<InvalidOperationException>(() => PhaseTimes.Start());
        using (PhaseTimes.In("phase"))
        {
            Work();
        }

        times.Stop();
        Assert.Contains("phase", times.Spent.Keys);
    }

    private static void Fail()
    {
        using var phase = PhaseTimes.In("fails");
        throw new InvalidOperationException();
    }

    // Long enough for the clock to move, on any machine.
    private static void Work() => Thread.SpinWait(10_000);
}
