using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Coordinator;
using SplitFrozen.Services.Tests.Support;

namespace SplitFrozen.Services.Tests.Coordinator;

public sealed class WorkAssignerTests
{
    private static readonly DateTimeOffset s_start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private readonly SampleDirectory _directory = new(FakeDevice.Fingerprint, 4, WireType.Float32);
    private readonly WorkAssigner _assigner = new(Options());

    public WorkAssignerTests()
    {
        Assert.Null(_directory.Add("a", 1, [.. Enumerable.Range(0, 50).Select(row => new ManifestEntry(SampleId.Training(row), 3, default))]));
        Assert.Null(_directory.Add("b", 1, [.. Enumerable.Range(50, 50).Select(row => new ManifestEntry(SampleId.Training(row), 3, default))]));
        _assigner.Present("a");
        _assigner.Present("b");
    }

    [Fact]
    public void TakeAssignments_ManyWanted_KeepsOrderAndBoundPerClient()
    {
        WantAll();
        var assignments = _assigner.TakeAssignments();
        Assert.Equal([(0, 4), (1, 4), (2, 4)], assignments.Where(work => work.ClientId == "a").Select(work => ((int)work.Sequence, work.Samples.Length)));
        Assert.Equal(Enumerable.Range(0, 12), assignments.Where(work => work.ClientId == "a").SelectMany(work => work.Samples).Select(id => id.Row));
        Assert.Equal([0, 0, 0, 5, 5, 5], assignments.Select(work => (int)work.NeededAt));
        Assert.Empty(_assigner.TakeAssignments());
        _assigner.Ingested(Entry(3));
        Assert.Equal([12, 13, 14, 15], Assert.Single(_assigner.TakeAssignments()).Samples.Select(id => id.Row));
    }

    [Fact]
    public void TakeAssignments_ClientThatIsAway_IsAskedWhenItComes()
    {
        var assigner = new WorkAssigner(Options());
        assigner.Want(Entry(5), 0, urgent: false);
        Assert.Empty(assigner.TakeAssignments());
        Assert.Equal(["a"], assigner.Owing);
        assigner.Present("a");
        Assert.Equal([SampleId.Training(5)], Assert.Single(assigner.TakeAssignments()).Samples);
        assigner.Fail(Entry(5));
        Assert.Empty(assigner.Owing);
    }

    [Fact]
    public void TakeAssignments_ClientRefused_IsAskedAgainOnlyWhenItRegisters()
    {
        _assigner.Want(Entry(5), 0, urgent: false);
        _assigner.Refused("a");
        Assert.Empty(_assigner.TakeAssignments());
        Assert.False(_assigner.IsPresent("a"));
        _assigner.Present("a");
        Assert.Equal([SampleId.Training(5)], Assert.Single(_assigner.TakeAssignments()).Samples);
    }

    [Fact]
    public void Want_Urgent_GoesBeforeWhatWaits()
    {
        WantAll();
        _assigner.TakeAssignments();
        _assigner.Ingested(Entry(0));
        Entry(0).State = SampleState.Missing;
        _assigner.Want(Entry(0), 77, urgent: true);
        Assert.Equal([0, 12, 13, 14], _assigner.TakeAssignments()[0].Samples.Select(id => id.Row));
    }

    [Fact]
    public void Owed_FinishedButNotArrived_IsToldOnlyAfterTheClientWasQuietForAWhile()
    {
        _assigner.Want(Entry(5), 0, urgent: false);
        var work = Assert.Single(_assigner.TakeAssignments());
        Assert.Empty(_assigner.Owed(s_start.AddHours(1)));

        _assigner.Finished("a", work.Sequence, s_start);
        Assert.Empty(_assigner.Owed(s_start.AddSeconds(1)));
        _assigner.Moved("a", s_start.AddSeconds(8));
        Assert.Empty(_assigner.Owed(s_start.AddSeconds(9)));
        Assert.Equal(new OwedWork("a", work.Sequence), Assert.Single(_assigner.Owed(s_start.AddSeconds(11))));
    }

    [Fact]
    public void Reminders_AClientThatIsSilent_IsToldWhatIsOpenAgainUnderTheSameNumber()
    {
        _assigner.Want(Entry(5), 3, urgent: false);
        _assigner.Want(Entry(6), 4, urgent: false);
        var work = Assert.Single(_assigner.TakeAssignments());
        Assert.Empty(_assigner.Reminders(s_start));
        Assert.Empty(_assigner.Reminders(s_start.AddSeconds(29)));
        _assigner.Ingested(Entry(5));
        _assigner.Moved("a", s_start.AddSeconds(20));
        Assert.Empty(_assigner.Reminders(s_start.AddSeconds(31)));
        var reminder = Assert.Single(_assigner.Reminders(s_start.AddSeconds(51)));
        Assert.Equal((work.ClientId, work.Sequence, 4), (reminder.ClientId, reminder.Sequence, reminder.NeededAt));
        Assert.Equal([SampleId.Training(6)], reminder.Samples);
        Assert.Empty(_assigner.Reminders(s_start.AddSeconds(80)));
        _assigner.Refused("a");
        Assert.Empty(_assigner.Reminders(s_start.AddSeconds(90)));
        _assigner.Present("a");
        Assert.Single(_assigner.Reminders(s_start.AddSeconds(90)));
        _assigner.Finished("a", work.Sequence, s_start.AddSeconds(100));
        Assert.Empty(_assigner.Reminders(s_start.AddHours(1)));
    }

    [Fact]
    public void Repeat_SomeArrivedMeanwhile_AsksForTheOthersOnly()
    {
        WantAll();
        _assigner.TakeAssignments();
        _assigner.Ingested(Entry(2));
        Assert.Empty(_assigner.Repeat(new OwedWork("a", 0)));
        Assert.Equal([0, 1, 3, 12], _assigner.TakeAssignments()[0].Samples.Select(id => id.Row));
        Assert.Empty(_assigner.Repeat(new OwedWork("a", 0)));
        Assert.Empty(_assigner.TakeAssignments());
    }

    [Fact]
    public void Repeat_AskedTooOften_NamesTheSample()
    {
        _assigner.Want(Entry(5), 0, urgent: false);
        for (var attempt = 1; attempt <= 3; attempt++)
        {
            var work = Assert.Single(_assigner.TakeAssignments());
            Assert.Equal(attempt == 3 ? [Entry(5)] : [], _assigner.Repeat(new OwedWork("a", work.Sequence)));
        }

        Assert.Empty(_assigner.TakeAssignments());
    }

    [Fact]
    public void Restarted_OpenWork_IsAskedAgainWithoutCountingAsAnAttempt()
    {
        WantAll();
        _assigner.TakeAssignments();
        _assigner.Ingested(Entry(1));
        _assigner.Restarted("a");
        var again = _assigner.TakeAssignments().SelectMany(work => work.Samples).Select(id => id.Row);
        Assert.Equal([0, .. Enumerable.Range(2, 11)], again);
        Assert.Equal(0, Entry(0).Attempts);
    }

    [Fact]
    public void Finished_NumberOfAnEarlierCoordinator_IsNotTakenForOneOfThisOne()
    {
        var later = new WorkAssigner(Options() with { FirstAssignment = 3L << 32 });
        foreach (var row in new[] { 5, 60 })
        {
            later.Present(Entry(row).Client.Id);
            later.Want(Entry(row), 0, urgent: false);
        }

        Assert.Equal([3L << 32, 3L << 32], later.TakeAssignments().Select(work => work.Sequence));
        later.Finished("a", 0, s_start);
        later.Finished("a", 2L << 32, s_start);
        Assert.Empty(later.Owed(s_start.AddHours(1)));
        later.Finished("a", 3L << 32, s_start);
        Assert.Equal(new OwedWork("a", 3L << 32), Assert.Single(later.Owed(s_start.AddHours(1))));
    }

    private static CoordinatorOptions Options() => new()
    {
        RunId = "run", Clients = ["a", "b"], ModelFingerprint = FakeDevice.Fingerprint, Boundary = 1, Width = 4, WireType = WireType.Float32,
        LabelsPerToken = false, LabelBound = 2, MaximumLength = 10, Seed = 1, Epochs = 1, BatchSize = 4, AssignmentSamples = 4, OutstandingSamples = 12,
    };

    private SampleEntry Entry(int row) => _directory[SampleId.Training(row)];

    private void WantAll()
    {
        for (var row = 0; row < 100; row++)
        {
            _assigner.Want(Entry(row), row / 10, urgent: false);
        }
    }
}
