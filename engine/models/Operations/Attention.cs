using SplitFrozen.Torch;
using SplitFrozen.Torch.Kernels;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// Causal scaled dot-product attention over packed rows; key and value heads repeat in blocks (grouped queries). In f32 the
/// project's kernel works on the rows as they lie. Otherwise torch's works on padded sequences where a backward pass follows, which needs
/// no mask: under a causal mask a pad comes after every real token of its sequence and cannot influence it.
/// </summary>
internal sealed class Attention(int heads, int keyValueHeads, int headWidth)
{
    /// <summary>
    /// q is <c>[ΣT, heads·d]</c>, k and v <c>[ΣT, keyValueHeads·d]</c>, rows of any stride; the result is <c>[ΣT, heads·d]</c>.
    /// With a cache, the rows belong to one sequence, follow the cached ones (one row, if there are any) and are added to them.
    /// </summary>
    internal Tensor Forward(Tensor q, Tensor k, Tensor v, SequenceLayout layout, Tape? tape, KeyValueCache? cache)
    {
        using var phase = PhaseTimes.In("attention, forward");
        if (cache is not null)
        {
            var first = cache.Length == 0;
            cache.Append(k, v);
            if (!first)
            {
                return Continue(q, cache);
            }
        }

        if (!AttentionKernel.Supports(q.dtype, headWidth))
        {
            if (tape is null && layout.Sequences > 1)
            {
                return AttendApart(q, k, v, layout);
            }

            var attended = LocalGraph.Run(
                tape, Attend, Split(q, heads, layout), Split(k, keyValueHeads, layout), Split(v, keyValueHeads, layout));
            return Merge(attended, layout);
        }

        var (output, logSums) = AttentionKernel.Forward(q, k, v, Shape(layout));
        foreach (var saved in new[] { q, k, v, output, logSums })
        {
            tape?.Push(saved);
        }

        return output;
    }

    /// <summary>Gradients of q, k and v, side by side in one tensor, given that of the result.</summary>
    internal Tensor Backward(Tensor gradient, SequenceLayout layout, Tape tape)
    {
        using var phase = PhaseTimes.In("attention, backward");
        if (!AttentionKernel.Supports(gradient.dtype, headWidth))
        {
            return BackwardPadded(gradient, layout, tape);
        }

        var (logSums, output, v, k, q) = (tape.Pop(), tape.Pop(), tape.Pop(), tape.Pop(), tape.Pop());
        var (queryWidth, keyWidth) = (q.shape[1], k.shape[1]);
        var all = empty([layout.Tokens, queryWidth + (2 * keyWidth)], gradient.dtype);
        AttentionKernel.Backward(
            (q, k, v), (output, logSums), gradient, Shape(layout),
            all.narrow(1, 0, queryWidth), all.narrow(1, queryWidth, keyWidth), all.narrow(1, queryWidth + keyWidth, keyWidth));
        return all;
    }

    /// <summary>Every sequence by itself: padded beside longer ones it would round otherwise than alone.</summary>
    private Tensor AttendApart(Tensor q, Tensor k, Tensor v, SequenceLayout layout)
    {
        var results = new Tensor[layout.Sequences];
        var start = 0L;
        for (var i = 0; i < results.Length; i++)
        {
            var length = layout.Lengths[i];
            using var alone = new SequenceLayout([length]);
            results[i] = Forward(q.narrow(0, start, length), k.narrow(0, start, length), v.narrow(0, start, length), alone, tape: null, cache: null);
            start += length;
        }

        return cat(results, 0);
    }

    private AttentionShape Shape(SequenceLayout layout) => new(layout.Lengths, heads, keyValueHeads, headWidth);

    private Tensor BackwardPadded(Tensor gradient, SequenceLayout layout, Tape tape)
    {
        // Places beyond a sequence's end hold rows of some token in the forward pass; their gradient must be zero.
        var padded = layout.IsUniform
            ? gradient
            : zeros([(long)layout.Sequences * layout.MaximumLength, gradient.shape[1]], gradient.dtype)
                .index_copy_(0, layout.PaddedToPacked, gradient);
        var gradients = LocalGraph.Backward(tape, View(padded, heads, layout));
        return cat([.. gradients.Select(part => Merge(part, layout))], 1);
    }

    /// <summary>
    /// The row of one further token <c>[1, heads·d]</c> over all cached ones. The query heads that share a key head are that
    /// head's rows, so keys need no repeating, and nothing lies in the future, so there is no mask.
    /// </summary>
    private Tensor Continue(Tensor q, KeyValueCache cache)
    {
        var rows = q.reshape(1, keyValueHeads, heads / keyValueHeads, headWidth);
        var keys = cache.Keys.view(1, cache.Length, keyValueHeads, headWidth).transpose(1, 2);
        var values = cache.Values.view(1, cache.Length, keyValueHeads, headWidth).transpose(1, 2);
        return nn.functional.scaled_dot_product_attention(rows, keys, values).reshape(1, heads * headWidth);
    }

    private Tensor Attend(Tensor[] inputs)
    {
        var repeats = heads / keyValueHeads;
        var (k, v) = repeats == 1
            ? (inputs[1], inputs[2])
            : (inputs[1].repeat_interleave(repeats, 1), inputs[2].repeat_interleave(repeats, 1));
        return nn.functional.scaled_dot_product_attention(inputs[0], k, v, is_casual: true);
    }

    // [ΣT, heads·d] → [B, heads, Tmax, d]
    private Tensor Split(Tensor rows, int count, SequenceLayout layout) =>
        View(layout.IsUniform ? rows : rows.index_select(0, layout.PackedToPadded), count, layout);

    private Tensor View(Tensor padded, int count, SequenceLayout layout) =>
        padded.view(layout.Sequences, layout.MaximumLength, count, headWidth).transpose(1, 2);

    // [B, heads, Tmax, d] → [ΣT, heads·d]
    private static Tensor Merge(Tensor split, SequenceLayout layout)
    {
        var rows = split.transpose(1, 2).reshape((long)layout.Sequences * layout.MaximumLength, -1);
        return layout.IsUniform ? rows : rows.index_select(0, layout.PaddedToPacked);
    }
}
