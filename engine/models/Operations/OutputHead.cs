using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>What a head computed for one pass. It owns its tensors.</summary>
/// <param name="Loss">Mean loss over the rows; 0 without rows.</param>
/// <param name="Correct">Rows whose target had the largest logit.</param>
/// <param name="Logits"><c>[n, C]</c> if the head keeps them.</param>
/// <param name="RowsGradient">Gradient of the mean loss for the rows <c>[n, H]</c>, in training.</param>
/// <param name="WeightGradient">Gradient of the mean loss for the weight <c>[C, H]</c>, in training and if it trains.</param>
internal sealed record HeadPass(double Loss, int Correct, Tensor? Logits, Tensor? RowsGradient, Tensor? WeightGradient) : IDisposable
{
    public void Dispose()
    {
        Logits?.Dispose();
        RowsGradient?.Dispose();
        WeightGradient?.Dispose();
    }
}

/// <summary>
/// The last linear layer, without bias, and the cross-entropy: <c>logits = rows Wᵀ</c>, W <c>[C, H]</c>. Rows go through in
/// chunks, and logits become their own gradient at once, so that the logits of a whole batch over a vocabulary are never held.
/// </summary>
internal sealed class OutputHead(LayerWeight weight, bool keepLogits) : IDisposable
{
    private const long ChunkElements = 1 << 21;
    private const long SmallestChunk = 128;
    private const long LargestChunk = 1024;

    internal Parameter? Parameter => weight.Parameter;

    /// <summary>Logits <c>[n, C]</c>, in a new tensor.</summary>
    internal Tensor Logits(Tensor rows) => rows.mm(weight.Value.t());

    internal HeadPass Forward(Tensor rows, int[] targets, bool training)
    {
        using var phase = PhaseTimes.In("head and loss");
        using var scope = NewDisposeScope();
        var (total, sum, correct) = (targets.Length, 0.0, 0);
        var rowsGradient = training ? empty_like(rows) : null;
        var weightGradient = training && weight.Parameter is not null ? zeros_like(weight.Value) : null;
        var kept = new List<Tensor>();
        var step = (int)Math.Clamp(ChunkElements / weight.Value.shape[0], SmallestChunk, LargestChunk);
        for (var begin = 0; begin < total; begin += step)
        {
            using var chunkScope = NewDisposeScope();
            var count = Math.Min(step, total - begin);
            var part = rows.narrow(0, begin, count);
            var logits = Logits(part);
            if (keepLogits)
            {
                kept.Add(logits.clone().MoveToOuterDisposeScope());
            }

            var sums = CrossEntropy.Compute(logits, targets.AsSpan(begin, count), training ? 1.0 / total : null);
            (sum, correct) = (sum + sums.Loss, correct + sums.Correct);
            _ = rowsGradient?.narrow(0, begin, count).addmm_(logits, weight.Value, beta: 0, alpha: 1);
            _ = weightGradient?.addmm_(logits.t(), part, beta: 1, alpha: 1);
        }

        return new HeadPass(
            total == 0 ? 0 : sum / total, correct, kept.Count == 0 ? null : cat(kept, 0).DetachFromDisposeScope(),
            rowsGradient?.DetachFromDisposeScope(), weightGradient?.DetachFromDisposeScope());
    }

    /// <summary>The gradient of the rows, scaled, in a new tensor; that of the weight is put off.</summary>
    internal Tensor Backward(HeadPass pass, double lossScale, WeightGradients deferred)
    {
        if (pass.WeightGradient is not null)
        {
            deferred.Defer(held => weight.Parameter!.Accumulate(held[0].Times(lossScale)), pass.WeightGradient);
        }

        return pass.RowsGradient!.Times(lossScale);
    }

    public void Dispose() => weight.Dispose();
}
