using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Services.Tests.Support;
using SplitFrozen.Trainer;

namespace SplitFrozen.Services.Tests.Trainer;

public sealed class StepLogTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(3, 3)]
    [InlineData(99, 5)]
    public void Open_LogIsLongerThanTheCheckpoint_KeepsWhatTheCheckpointHolds(long nextSequence, int kept)
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("steps.jsonl");
        using (var log = new StepLog(path, 0))
        {
            for (var sequence = 0; sequence < 5; sequence++)
            {
                log.Append(Step(sequence), 0.1 * sequence);
            }
        }

        File.AppendAllText(path, "{\"sequence\":5,\"ep");
        using (var log = new StepLog(path, nextSequence))
        {
            log.Append(Step(7), 1);
            log.Flush();
        }

        Assert.Equal([.. Enumerable.Range(0, kept).Select(n => (long)n), 7], CheckpointValues.StepLog(folder.Path).Select(step => step.Sequence));
    }

    private static StepMessage Step(int sequence) => new(
        "run", "start", sequence, 10, StepKind.Train, 0, sequence, 10, 0, 1, false, [new SampleReference(SampleId.Training(sequence), "c", 1, "key")]);
}
