using SplitFrozen.Models;
using static TorchSharp.torch;

namespace SplitFrozen.Training.FineTuning;

/// <summary>What the head says of one micro-batch.</summary>
/// <param name="Loss">Mean loss over its counted labels; 0 if there are none.</param>
/// <param name="CountedLabels">Labels that count.</param>
/// <param name="CorrectPredictions">Counted labels that had the largest logit.</param>
/// <param name="Predicted">Class of every sample, where classes are predicted and nothing trains; else empty.</param>
public sealed record HeadResult(double Loss, int CountedLabels, long CorrectPredictions, int[] Predicted)
{
    /// <summary>Of a pass through a model with a head.</summary>
    /// <param name="pass">The pass.</param>
    /// <param name="withPredictions">Whether <see cref="Predicted"/> is wanted.</param>
    internal static HeadResult Of(ForwardPass pass, bool withPredictions)
    {
        int[] predicted = [];
        if (withPredictions && pass.Logits is { } logits)
        {
            using var best = logits.argmax(1);
            using var classes = best.to(ScalarType.Int32);
            predicted = classes.data<int>().ToArray();
        }

        return new HeadResult(pass.Loss, pass.CountedLabels, pass.CorrectPredictions, predicted);
    }
}
