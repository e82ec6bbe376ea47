using SplitFrozen.Models;

namespace SplitFrozen.Comparison.Fleet.Costs;

/// <summary>Work of one sample, in floating-point operations.</summary>
/// <param name="Forward">The forward pass.</param>
/// <param name="BackwardInput">B: gradients of hidden states.</param>
/// <param name="BackwardWeight">W: gradients of adapters and head.</param>
public readonly record struct PassFlops(long Forward, long BackwardInput, long BackwardWeight)
{
    /// <summary>Both halves of the backward pass.</summary>
    public long Backward => BackwardInput + BackwardWeight;

    /// <summary>All.</summary>
    public long Total => Forward + Backward;

    /// <summary>Adds two passes.</summary>
    public static PassFlops operator +(PassFlops left, PassFlops right) =>
        new(left.Forward + right.Forward, left.BackwardInput + right.BackwardInput, left.BackwardWeight + right.BackwardWeight);
}

/// <summary>
/// Work of slices of a model that trains with LoRA, by formula, as the engine does it and in the convention of <see cref="ModelFlops"/>: two
/// operations per weight and token for every product, in B for the input gradient and in W for A and B of an adapter alike; attention is
/// causal, four per element and pair forward and twice that backward. Below the lowest adapter nothing is computed backward, and behind its
/// attention the last block computes only the tokens whose labels count: of a classified sample the last one.
/// Left out: norms, activations, softmax, biases, residuals, embedding look-up, the cross-entropy, the optimiser (all O(tokens · width)), the
/// attention scores that B computes again, and the padding of tiles: useful work, not issued instructions.
/// </summary>
public sealed class TrainingFlops
{
    private readonly TransformerConfig _config;
    private readonly LoraConfig? _lora;
    private readonly HeadKind _head;
    private readonly long _classes;
    private readonly BlockLayer[][] _layers;

    /// <summary>Prepares the formulas of a model.</summary>
    /// <param name="config">Sizes of the model.</param>
    /// <param name="lora">Adapters of trained blocks; null for none.</param>
    /// <param name="head">The head.</param>
    /// <param name="classes">Classes of a classification head.</param>
    public TrainingFlops(TransformerConfig config, LoraConfig? lora, HeadKind head, int classes)
    {
        ArgumentNullException.ThrowIfNull(config);
        (_config, _lora, _head) = (config, lora, head);
        _classes = head == HeadKind.Classification ? classes : config.VocabularySize;
        _layers = [.. Enumerable.Range(0, config.Layers).Select(block => BlockLayers.Of(config, lora, block))];
    }

    /// <summary>Forward of the frozen blocks <c>[from, to)</c>.</summary>
    public long Frozen(int from, int to, SampleSize sample) => (to - from) * ModelFlops.BlockForward(_config, [sample.Tokens]);

    /// <summary>
    /// Forward, B and W of the trained blocks <c>[from, to)</c>, with the head where <paramref name="to"/> is the number of blocks. B goes down to
    /// the lowest adapter, or, with <paramref name="needInput"/>, to the slice's input, whose gradient another part waits for.
    /// </summary>
    public PassFlops Trained(int from, int to, SampleSize sample, bool needInput)
    {
        var sum = to == _config.Layers ? Head(sample) : default;
        var lowest = Enumerable.Range(from, to - from).FirstOrDefault(block => _layers[block].Any(layer => layer.Adapted), to);
        for (var block = from; block < to; block++)
        {
            sum += Block(block, sample, needInput || block > lowest, isTrained: needInput || block >= lowest);
        }

        return sum;
    }

    private PassFlops Head(SampleSize sample)
    {
        var product = 2 * _classes * _config.Width * sample.CountedLabels;
        return new PassFlops(product, product, _head == HeadKind.Classification ? product : 0);
    }

    private PassFlops Block(int block, SampleSize sample, bool needInput, bool isTrained)
    {
        var rowsBehind = block == _config.Layers - 1 ? sample.CountedLabels : sample.Tokens;
        var attention = ModelFlops.AttentionForward(_config, [sample.Tokens]);
        var sum = new PassFlops(attention, 0, 0);
        foreach (var layer in _layers[block])
        {
            var rows = layer.Depth == BlockLayer.AttentionInput ? sample.Tokens : rowsBehind;
            sum += Layer(layer, rows, isTrained && NeedsInputGradient(block, layer.Depth, needInput), isTrained);
        }

        var throughAttention = isTrained && NeedsInputGradient(block, BlockLayer.AttentionOutput, needInput);
        return throughAttention ? sum with { BackwardInput = sum.BackwardInput + (2 * attention) } : sum;
    }

    private PassFlops Layer(BlockLayer layer, long rows, bool inputGradient, bool isTrained)
    {
        var weight = 2 * layer.Weights * rows;
        var sum = new PassFlops(weight, inputGradient ? weight : 0, 0);
        if (!layer.Adapted || !isTrained)
        {
            return sum;
        }

        var (a, b) = (2 * _lora!.Rank * layer.Inputs * rows, 2 * _lora.Rank * layer.Outputs * rows);
        return sum + new PassFlops(a + b, b + (inputGradient ? a : 0), a + b);
    }

    private bool NeedsInputGradient(int block, int depth, bool needInput) =>
        needInput || Array.Exists(_layers[block], layer => layer.Adapted && layer.Depth > depth);
}
