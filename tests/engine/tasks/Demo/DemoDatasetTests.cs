using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Tasks.Demo;
using SplitFrozen.Tasks.Tests.Support;

namespace SplitFrozen.Tasks.Tests.Demo;

public sealed class DemoDatasetTests
{
    private static readonly DemoDataset s_data = DemoDataset.Generate(DemoDataset.DefaultSeed);

    [Theory]
    [InlineData(DemoDataset.TrainFile)]
    [InlineData(DemoDataset.HeldOutFile)]
    public void Write_DefaultSeed_GivesTheCommittedBytes(string file)
    {
        using var folder = new DataFolder();

        s_data.Write(folder.Path);

        var committed = Path.Combine(RepositoryRoot(), "samples", "demo", file);
        Assert.Equal(File.ReadAllBytes(committed), File.ReadAllBytes(Path.Combine(folder.Path, file)));
    }

    [Fact]
    public void Load_AsClassificationTask_HasEveryRowAndItsClass()
    {
        using var folder = new DataFolder();
        s_data.Write(folder.Path);

        var task = folder.Load(new TaskSpec { Kind = TaskKinds.Classification, Train = DemoDataset.TrainFile, Evaluation = DemoDataset.HeldOutFile });

        Assert.Equal(["negative", "positive"], task.Task.ClassNames);
        Assert.Equal(s_data.Train.Select(sentence => sentence.IsPositive ? 1 : 0), task.Train.Select(sample => sample.Class));
        Assert.Equal(s_data.HeldOut.Select(sentence => sentence.IsPositive ? 1 : 0), task.Evaluation.Select(sample => sample.Class));
        Assert.Equal(s_data.Train[0].Text, new ByteTokenizer().Decode(task.Train[0].Tokens));
    }

    [Fact]
    public void Generate_AnySeed_HasHalfOfEachClassAndNoSentenceTwice()
    {
        foreach (var data in new[] { s_data, DemoDataset.Generate(7) })
        {
            Assert.Equal(DemoDataset.TrainCount / 2, data.Train.Count(sentence => sentence.IsPositive));
            Assert.Equal(DemoDataset.HeldOutCount / 2, data.HeldOut.Count(sentence => sentence.IsPositive));
            Assert.Equal(
                DemoDataset.TrainCount + DemoDataset.HeldOutCount,
                data.Train.Concat(data.HeldOut).Select(sentence => sentence.Text).Distinct().Count());
        }
    }

    [Fact]
    public void Generate_AnotherSeed_GivesOtherSentences()
    {
        var known = s_data.Train.Select(sentence => sentence.Text).ToHashSet();

        Assert.True(DemoDataset.Generate(7).Train.Count(sentence => known.Contains(sentence.Text)) < DemoDataset.TrainCount / 5);
    }

    [Fact]
    public void Generate_EverySentence_ReadsAsItsLabel()
    {
        var wrong = s_data.Train.Concat(s_data.HeldOut).Where(sentence => DemoReader.IsPositive(sentence.Text) != sentence.IsPositive);

        Assert.Empty(wrong.Select(sentence => sentence.Text));
    }

    [Fact]
    public void Generate_BestSingleWord_TellsLittle()
    {
        var words = s_data.Train.Select(sentence => (DemoReader.Words(sentence.Text).ToHashSet(), sentence.IsPositive)).ToList();
        var best = words.SelectMany(row => row.Item1).Distinct().Max(word =>
        {
            var agreeing = words.Count(row => row.Item1.Contains(word) == row.IsPositive);
            return Math.Max(agreeing, words.Count - agreeing);
        });

        Assert.InRange(best, 0, (int)(0.6 * DemoDataset.TrainCount));
    }

    private static string RepositoryRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "SplitFrozen.sln")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException("The tests run outside the repository.");
    }
}
