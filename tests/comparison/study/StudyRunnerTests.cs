using SplitFrozen.Comparison.Methods.Tests;
using SplitFrozen.Training.Tests;

namespace SplitFrozen.Comparison.Study.Tests;

public sealed class StudyRunnerTests : IDisposable
{
    private readonly SmallProblem _small = new();
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public async Task Run_AllMethods_TrainsEachCellOnce()
    {
        var (study, progress) = await RunAsync("cells");

        // Four methods on two partitions and two without: two rates and two seeds each.
        const int Series = (4 * 2) + 2;
        Assert.Equal((4 * Series, 4 * Series), (progress.Count, progress[^1].Total));
        Assert.Equal(Enumerable.Range(1, 4 * Series), progress.Select(one => one.Done));
        Assert.Equal(4 * Series, Directory.GetFiles(_folder.File("cells")).Length);
        var methods = Assert.Single(study.Tasks).Methods;
        Assert.Equal(Series, methods.Count);
        Assert.All(methods, method => Assert.Equal([1L, 2L], method.Cells.Select(cell => cell.Label.Seed)));
        Assert.All(methods, method => Assert.All(method.Cells, cell => Assert.Equal(method.Choice.LearningRate, cell.Label.LearningRate)));
        Assert.All(methods, method => Assert.All(method.Cells, cell => Assert.Equal([0, 1, 2], cell.Epochs.Select(epoch => epoch.Epoch))));
        Assert.Equal(6, study.Tasks[0].On(StudyCases.Partition("iid")).Count);
        Assert.All(
            methods.Where(method => method.Choice.Method.HasClients()),
            method => Assert.All(method.Cells, cell => Assert.Equal(_small.Data.Train.Sum(sample => sample.Tokens.Length), cell.Clients.Sum(client => client.Lengths.Sum()))));
    }

    [Fact]
    public async Task Run_Again_TrainsNothingAndFindsTheSame()
    {
        var (first, _) = await RunAsync("cells");

        var (second, progress) = await RunAsync("cells");

        Assert.All(progress, one => Assert.True(one.WasStored));
        Assert.Equal(Digests(first), Digests(second));
    }

    [Fact]
    public async Task Run_OneOrTwoAtATime_GivesTheSameBits()
    {
        var (one, _) = await RunAsync("one", parallel: 1);
        var (two, _) = await RunAsync("two", parallel: 2);

        Assert.Equal(Digests(one), Digests(two));
        Assert.All(Digests(one), digest => Assert.Equal(32, digest.Length));
    }

    [Fact]
    public async Task Run_SplitFrozen_OnEveryPartition_TrainsTheBytesOfPooledData()
    {
        var options = StudyCases.Options with { Methods = [MethodKind.SplitFrozen, MethodKind.Centralised], LearningRates = [0.01], Partitions = [.. new[] { "iid", "dirichlet:0.1", "classes:1", "zipf:1.2" }.Select(StudyCases.Partition)] };

        var (study, progress) = await RunAsync("cells", options: options);

        Assert.Equal(10, progress.Count);
        foreach (var seed in new[] { 1L, 2L })
        {
            Assert.Single(study.Tasks[0].Methods.SelectMany(method => method.Cells).Where(cell => cell.Label.Seed == seed).Select(cell => cell.TrainedDigest).Distinct());
        }
    }

    [Fact]
    public async Task Run_DivergingCell_IsAResultThatSaysWhy()
    {
        var options = StudyCases.Options with { Methods = [MethodKind.FedLora, MethodKind.SplitFrozen], LearningRates = [1e38], Seeds = [1], Partitions = [StudyCases.Partition("iid")] };

        var (study, _) = await RunAsync("cells", options: options);

        Assert.All(study.Tasks[0].Methods, method => Assert.Null(method.Final("accuracy")));
        Assert.Matches("^FedLoRA, round [12], client [0-2]: .* not finite at step", study.Tasks[0].Methods[0].Cells[0].Error);
    }

    [Fact]
    public async Task Run_Stopped_GoesOnWhereItWas()
    {
        using var stop = new CancellationTokenSource();
        var store = new CellStore(_folder.File("cells"));
        var seen = 0;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => new StudyRunner(StudyCases.Options, store, 1, TimeProvider.System).RunAsync(
            [StudyCases.Task(_small)],
            _ =>
            {
                if (++seen == 3)
                {
                    stop.Cancel();
                }
            },
            stop.Token));

        var (_, progress) = await RunAsync("cells");

        Assert.Equal(3, progress.Count(one => one.WasStored));
    }

    public void Dispose()
    {
        _small.Dispose();
        _folder.Dispose();
    }

    private async Task<(StudyResult Study, List<StudyProgress> Progress)> RunAsync(string cells, int parallel = 1, StudyOptions? options = null)
    {
        var progress = new List<StudyProgress>();
        var runner = new StudyRunner(options ?? StudyCases.Options, new CellStore(_folder.File(cells)), parallel, TimeProvider.System);
        var study = await runner.RunAsync([StudyCases.Task(_small, options: options)], progress.Add, TestContext.Current.CancellationToken);
        return (study, progress);
    }

    private static string[] Digests(StudyResult study) => [.. study.Tasks.SelectMany(task => task.Methods).SelectMany(method => method.Cells).Select(cell => cell.TrainedDigest)];
}
