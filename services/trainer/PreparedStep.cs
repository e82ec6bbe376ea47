using SplitFrozen.Contracts.Messages;
using SplitFrozen.Training.FineTuning;

namespace SplitFrozen.Trainer;

/// <summary>A step whose samples are decoded and ready for the compute thread. Owns their tensors.</summary>
/// <param name="Message">The step.</param>
/// <param name="Samples">Its samples, in order.</param>
/// <param name="Bytes">Bytes of the decoded hidden states.</param>
internal sealed record PreparedStep(StepMessage Message, TrainingSample[] Samples, long Bytes) : IDisposable
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
