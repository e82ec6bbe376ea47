using CsCheck;
using SplitFrozen.Contracts.Determinism;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Contracts.Planning;

namespace SplitFrozen.Contracts.Tests.Planning;

public sealed class TrainingPlanTests
{
    private static readonly Gen<(int Train, int Held, ulong Seed, int Epochs, int Batch, int Part)> Sizes = Gen.Select(
        Gen.Int[1, 90], Gen.Int[0, 40], Gen.ULong, Gen.Int[1, 4], Gen.Int[1, 20], Gen.Int[1, 15]);

    [Fact]
    public void Plan_AnySizes_HasEverySampleOncePerEpochAndEvaluation() => Sizes.Sample(size =>
    {
        var ids = SampleIds.Of(size.Train, size.Held);
        var plan = new TrainingPlan(ids, size.Seed, size.Epochs, size.Batch, size.Part);
        var trained = Enumerable.Range(0, size.Epochs).Select(_ => new List<SampleId>()).ToArray();
        var evaluated = Enumerable.Range(0, size.Epochs + 1).Select(_ => new List<SampleId>()).ToArray();
        var steps = 0;
        for (var sequence = 0L; sequence < plan.SequenceCount; sequence++)
        {
            var position = plan.At(sequence);
            Assert.Equal(sequence, position.Sequence);
            Assert.Equal(steps, position.Step);
            var samples = plan.Samples(position).ToArray();
            (position.Kind == StepKind.Train ? trained : evaluated)[position.Epoch].AddRange(samples);
            if (position.Kind == StepKind.Train)
            {
                steps++;
                var last = trained[position.Epoch].Count == size.Train;
                Assert.Equal(last, plan.EndsEpoch(position));
                Assert.Equal(last ? ((size.Train - 1) % size.Batch) + 1 : size.Batch, samples.Length);
                Assert.Equal(plan.FirstSequenceOf(position.Epoch) + position.Index, sequence);
            }
            else
            {
                Assert.InRange(samples.Length, 1, size.Part);
                Assert.True(position.Epoch == 0 || trained[position.Epoch - 1].Count == size.Train);
            }
        }

        Assert.Equal(plan.TotalSteps, steps);
        Assert.All(trained, epoch => Assert.Equal(ids.Where(id => !id.IsEvaluation).Order(), epoch.Order()));
        Assert.All(evaluated, epoch => Assert.Equal(ids.Where(id => id.IsEvaluation).Order(), epoch));
    });

    [Fact]
    public void Plan_AnyPartitionOfTheSamples_IsTheSame() => Gen.Select(Sizes, Gen.Int[1, 8]).Sample((size, clients) =>
    {
        var ids = SampleIds.Of(size.Train, size.Held);
        var random = new SeededRandom(size.Seed);
        var partition = ids.GroupBy(_ => random.NextInt32(clients)).SelectMany(client => client).ToArray();
        var whole = new TrainingPlan(ids, size.Seed, size.Epochs, size.Batch, size.Part);
        var dealt = new TrainingPlan(partition, size.Seed, size.Epochs, size.Batch, size.Part);
        for (var sequence = 0L; sequence < whole.SequenceCount; sequence++)
        {
            Assert.Equal(whole.Samples(whole.At(sequence)).ToArray(), dealt.Samples(dealt.At(sequence)).ToArray());
        }
    });

    [Fact]
    public void Plan_OtherSeedOrEpoch_IsAnotherOrder()
    {
        var ids = SampleIds.Of(500, 0);
        var plan = new TrainingPlan(ids, 1, 2, 32, 1);
        var first = plan.Permutation(0).ToArray();
        Assert.NotEqual(ids, first);
        Assert.NotEqual(first, plan.Permutation(1));
        Assert.NotEqual(first, new TrainingPlan(ids, 2, 2, 32, 1).Permutation(0));
        Assert.Equal(first, plan.Permutation(0));
    }

    [Fact]
    public void Plan_SampleTwice_IsRefused()
    {
        var error = Assert.Throws<ArgumentException>(
            () => new TrainingPlan([SampleId.Training(3), SampleId.Training(3)], 1, 1, 1, 1));
        Assert.Contains("train:3", error.Message, StringComparison.Ordinal);
    }
}
