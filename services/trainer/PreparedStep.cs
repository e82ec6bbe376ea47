using System.Diagnostics;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Trainer;

/// <summary>A step whose samples are decoded and ready for the compute thread. Owns their tensors.</summary>
/// <param name="Message">The step.</param>
/// <param name="Samples">Its samples, in order.</param>
/// <param name="Bytes">Bytes of the decoded hidden states.</param>
/// <param name="Activity">The span of its handling, which whoever trains it ends; null for none.</param>
internal sealed record PreparedStep(StepMessage Message, TrainingSample[] Samples, long Bytes, Activity? Activity = null) : IDisposable
{
    /// <summary>Tokens of all samples.</summary>
    public long Tokens => Samples.Sum(sample => sample.Hidden.shape[0]);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var sample in Samples)
        {
            sample.Hidden.Dispose();
        }
    }
}
