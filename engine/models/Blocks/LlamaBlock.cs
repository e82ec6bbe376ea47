using SplitFrozen.Models.Operations;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Blocks;

/// <summary>
/// A block of Llama (Touvron et al., 2023): <c>h = x + o(attention(rotate q, rotate k, v))</c> over the norm of x, and
/// <c>y = h + down(silu(gate n) · up n)</c> over the norm n of h.
/// </summary>
internal sealed class LlamaBlock : TransformerBlock
{
    private readonly RotaryTable _rotary;
    private readonly Norm _norm1;
    private readonly LinearLayer _query;
    private readonly LinearLayer _key;
    private readonly LinearLayer _value;
    private readonly Attention _attention;
    private readonly LinearLayer _output;
    private readonly Norm _norm2;
    private readonly LinearLayer _gate;
    private readonly LinearLayer _up;
    private readonly LinearLayer _down;
    private readonly int _queryWidth;
    private readonly int _keyWidth;

    internal LlamaBlock(LayerFactory layers, TransformerConfig config, RotaryTable rotary, int index)
    {
        var path = $"layers.{index}";
        (_queryWidth, _keyWidth) = (config.Heads * config.HeadWidth, config.KeyValueHeads * config.HeadWidth);
        _rotary = rotary;
        _norm1 = layers.Norm($"{path}.input_layernorm");
        _query = layers.Linear($"{path}.self_attn.q_proj", config.Width, _queryWidth);
        _key = layers.Linear($"{path}.self_attn.k_proj", config.Width, _keyWidth);
        _value = layers.Linear($"{path}.self_attn.v_proj", config.Width, _keyWidth);
        _attention = new Attention(config.Heads, config.KeyValueHeads, config.HeadWidth);
        _output = layers.Linear($"{path}.self_attn.o_proj", _queryWidth, config.Width);
        _norm2 = layers.Norm($"{path}.post_attention_layernorm");
        _gate = layers.Linear($"{path}.mlp.gate_proj", config.Width, config.InnerWidth);
        _up = layers.Linear($"{path}.mlp.up_proj", config.Width, config.InnerWidth);
        _down = layers.Linear($"{path}.mlp.down_proj", config.InnerWidth, config.Width);
    }

    internal override bool Trains => AttentionTrains || _output.Trains || _norm2.Trains || _gate.Trains || _up.Trains || _down.Trains;

    private bool AttentionTrains => _norm1.Trains || _query.Trains || _key.Trains || _value.Trains;

    internal override Tensor Forward(Tensor x, BlockContext context, Tape? tape)
    {
        using var scope = NewDisposeScope();
        var (layout, dropout, tiles) = (context.Layout, context.Dropout, context.InTiles);
        var normed = _norm1.Forward(x, tape);
        var q = _rotary.Rotate(_query.Forward(normed, tape, dropout, tiles), layout, direction: 1);
        var k = _rotary.Rotate(_key.Forward(normed, tape, dropout, tiles), layout, direction: 1);
        var v = _value.Forward(normed, tape, dropout, tiles);
        var attended = ChooseRows(_attention.Forward(q, k, v, layout, tape, context.Cache), context);
        var h = _output.Forward(attended, tape, dropout, tiles).AddInPlace(ChooseRows(x, context));
        var normed2 = _norm2.Forward(h, tape);
        var gate = _gate.Forward(normed2, tape, dropout, tiles);
        var up = _up.Forward(normed2, tape, dropout, tiles);
        return _down.Forward(Activation.SwiGlu(gate, up, tape), tape, dropout, tiles).AddInPlace(h).MoveToOuterDisposeScope();
    }

    internal override Tensor? Backward(Tensor dy, BlockContext context, Tape tape, WeightGradients deferred, bool needInput)
    {
        using var scope = NewDisposeScope();
        var needQkv = needInput || AttentionTrains;
        var needAttention = needQkv || _output.Trains;
        var needNorm2 = needAttention || _norm2.Trains;
        if (_down.Backward(dy, tape, deferred, needNorm2 || _gate.Trains || _up.Trains) is not { } dInner)
        {
            return null;
        }

        var (dGate, dUp) = Activation.SwiGluBackward(dInner, tape);
        var dNorm2 = Sum(_up.Backward(dUp, tape, deferred, needNorm2), _gate.Backward(dGate, tape, deferred, needNorm2));
        if (dNorm2 is null)
        {
            return null;
        }

        var dh = _norm2.Backward(dNorm2, tape, deferred).AddInPlace(dy);
        if (!needAttention || _output.Backward(dh, tape, deferred, needQkv) is not { } dAttended)
        {
            return null;
        }

        var dNorm1 = AttentionBackward(SpreadRows(dAttended, context), context, tape, deferred, needInput || _norm1.Trains);
        return dNorm1 is null ? null : _norm1.Backward(dNorm1, tape, deferred).AddInPlace(SpreadRows(dh, context)).MoveToOuterDisposeScope();
    }

    public override void Dispose()
    {
        _norm1.Dispose();
        _query.Dispose();
        _key.Dispose();
        _value.Dispose();
        _output.Dispose();
        _norm2.Dispose();
        _gate.Dispose();
        _up.Dispose();
        _down.Dispose();
    }

    private static Tensor? Sum(Tensor? first, Tensor? second) => second is null ? null : first?.AddInPlace(second);

    private Tensor? AttentionBackward(Tensor dAttended, BlockContext context, Tape tape, WeightGradients deferred, bool needInput)
    {
        var gradients = _attention.Backward(dAttended, context.Layout, tape);
        var dq = gradients.narrow(1, 0, _queryWidth);
        var dk = gradients.narrow(1, _queryWidth, _keyWidth);
        var dv = gradients.narrow(1, _queryWidth + _keyWidth, _keyWidth);
        var fromValue = _value.Backward(dv, tape, deferred, needInput);
        var fromKey = _key.Backward(_rotary.Rotate(dk, context.Layout, direction: -1), tape, deferred, needInput);
        var fromQuery = _query.Backward(_rotary.Rotate(dq, context.Layout, direction: -1), tape, deferred, needInput);
        return Sum(Sum(fromValue, fromKey), fromQuery);
    }
}
