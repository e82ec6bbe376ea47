using SplitFrozen.Comparison.Methods;
using SplitFrozen.Comparison.Methods.Tests;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Training.Tests;

namespace SplitFrozen.Comparison.Study.Tests;

public sealed class CellTests
{
    public static TheoryData<string> Changes => new("seed", "rate", "method", "partition", "search", "epochs", "rank", "boundary", "clients", "interval");

    [Theory]
    [MemberData(nameof(Changes))]
    public void Hash_OfAnythingThatDecidesTheResult_IsAnother(string change)
    {
        using var small = new SmallProblem();
        var spec = SmallProblem.Spec;
        var cell = StudyCases.Cell(StudyCases.Task(small, spec), MethodKind.SplitLora);
        var options = StudyCases.Options;
        var (changed, changedOptions) = change switch
        {
            "seed" => (cell with { Seed = 2 }, options),
            "rate" => (cell with { LearningRate = 0.02 }, options),
            "method" => (cell with { Method = MethodKind.FedLora }, options),
            "partition" => (cell with { Partition = StudyCases.Partition("zipf:1") }, options),
            "search" => (cell with { IsSearch = true }, options),
            "epochs" => (With(spec with { Training = spec.Training with { Epochs = 3 } }), options),
            "rank" => (With(spec with { Lora = spec.Lora with { Rank = 3 } }), options),
            "boundary" => (With(spec with { Model = spec.Model with { Boundary = 1 } }), options),
            "clients" => (With(spec with { Clients = new ClientsSpec { Count = 4 } }), options),
            _ => (cell, options with { AveragingInterval = 5 }),
        };

        Assert.NotEqual(cell.Identity(options).Hash(), changed.Identity(changedOptions).Hash());

        Cell With(RunSpec other) => cell with { Task = StudyCases.Task(small, other) };
    }

    [Fact]
    public void Hash_OfWhatDecidesNothing_IsTheSame()
    {
        using var small = new SmallProblem();
        var spec = SmallProblem.Spec;
        var moved = spec with
        {
            Name = "other",
            Cache = new CacheSpec { Directory = "elsewhere" },
            Training = spec.Training with { Threads = 2, CheckpointEverySteps = 7 },
            Device = spec.Device with { MicroBatch = 5 },
        };
        var options = StudyCases.Options;

        var cell = StudyCases.Cell(StudyCases.Task(small, spec));

        Assert.Equal(cell.Identity(options).Hash(), StudyCases.Cell(StudyCases.Task(small, moved)).Identity(options with { AveragingInterval = 9, LocalEpochs = 2 }).Hash());
    }

    [Fact]
    public void Store_WrittenResult_IsReadAgainWhole()
    {
        using var small = new SmallProblem();
        using var folder = new TemporaryFolder();
        var store = new CellStore(folder.File("cells"));
        var result = StudyCases.Result(StudyCases.Cell(StudyCases.Task(small)), 0.75, 0.5) with
        {
            Seconds = 1.5,
            TrainedDigest = "abc",
            Clients = [new ClientRecord(2, [3, 4], new WorkCount { ForwardTokens = 7, ActivationBytesSent = 99 })],
        };
        Assert.Null(store.Read(result.Identity));

        store.Write(result);

        var read = store.Read(result.Identity)!;
        Assert.Equal((result.Label, 0.75, 1.5, "abc"), (read.Label, read.Final("accuracy"), read.Seconds, read.TrainedDigest));
        Assert.Equal([3, 4], read.Clients[0].Lengths);
        Assert.Equal(result.Clients[0].Work, read.Clients[0].Work);
        Assert.Equal(result.Identity.Hash(), read.Identity.Hash());
    }

    [Fact]
    public void Store_DamagedFile_IsAsIfItWereNotThere()
    {
        using var small = new SmallProblem();
        using var folder = new TemporaryFolder();
        var store = new CellStore(folder.Path);
        var result = StudyCases.Result(StudyCases.Cell(StudyCases.Task(small)), 0.75, 0.5);
        File.WriteAllText(store.PathOf(result.Identity), "{\"label\":");

        Assert.Null(store.Read(result.Identity));
    }
}
