using SplitFrozen.Contracts.Events;
using SplitFrozen.Torch;
using SplitFrozen.Training.Export;

namespace SplitFrozen.Cli.LocalRun;

/// <summary>What comes after the last step: the adapter, and for language modelling the answers by generation.</summary>
internal static class RunCompletion
{
    /// <summary>Writes the adapter folder and answers the generation examples of the task.</summary>
    /// <returns>Number of trained weights.</returns>
    public static async Task<long> FinishAsync(
        PreparedRun run, RunFolder folder, Action<RunEvent> publish, TimeProvider time, CancellationToken cancellationToken)
    {
        using var thread = new ComputeThread("finish", run.Spec.Training.Threads);
        var parameters = await thread.RunAsync(
            () =>
            {
                var record = folder.ReadRecord();
                using var adapter = TrainedAdapter.Open(run.Model, run.Spec, record.RunId, record.ClassNames, folder.Checkpoints);
                adapter.WritePeft(folder.Adapter);
                return adapter.Parameters;
            },
            cancellationToken).ConfigureAwait(false);
        if (run.Data.GenerationExamples.Count > 0)
        {
            var (answered, correct) = await thread.RunAsync(
                () =>
                {
                    using var evaluation = new AdapterEvaluation(run, PeftAdapter.Read(folder.Adapter));
                    return evaluation.Generate(cancellationToken);
                },
                cancellationToken).ConfigureAwait(false);
            publish(new GenerationEvent(time.GetUtcNow(), "after training", answered, correct, (double)correct / answered));
        }

        return parameters;
    }
}
