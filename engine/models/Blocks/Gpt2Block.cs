using SplitFrozen.Models.Operations;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Blocks;

/// <summary>
/// A block of GPT-2 (Radford et al., 2019): <c>h = x + proj(attention(norm₁ x))</c>, <c>y = h + proj(gelu(fc(norm₂ h)))</c>.
/// </summary>
internal sealed class Gpt2Block : TransformerBlock
{
    private readonly Norm _norm1;
    private readonly LinearLayer _queryKeyValue;
    private readonly Attention _attention;
    private readonly LinearLayer _attentionProjection;
    private readonly Norm _norm2;
    private readonly LinearLayer _fullyConnected;
    private readonly LinearLayer _projection;
    private readonly int _width;

    internal Gpt2Block(LayerFactory layers, TransformerConfig config, int index)
    {
        _width = config.Width;
        _norm1 = layers.Norm($"h.{index}.ln_1");
        _queryKeyValue = layers.Linear($"h.{index}.attn.c_attn", config.Width, 3 * config.Width);
        _attention = new Attention(config.Heads, config.KeyValueHeads, config.HeadWidth);
        _attentionProjection = layers.Linear($"h.{index}.attn.c_proj", config.Width, config.Width);
        _norm2 = layers.Norm($"h.{index}.ln_2");
        _fullyConnected = layers.Linear($"h.{index}.mlp.c_fc", config.Width, config.InnerWidth);
        _projection = layers.Linear($"h.{index}.mlp.c_proj", config.InnerWidth, config.Width);
    }

    internal override bool Trains => AttentionTrains || _attentionProjection.Trains || _norm2.Trains || _fullyConnected.Trains || _projection.Trains;

    private bool AttentionTrains => _norm1.Trains || _queryKeyValue.Trains;

    internal override Tensor Forward(Tensor x, BlockContext context, Tape? tape)
    {
        using var scope = NewDisposeScope();
        var qkv = _queryKeyValue.Forward(_norm1.Forward(x, tape), tape, context.Dropout, context.InTiles);
        var attended = _attention.Forward(
            qkv.narrow(1, 0, _width), qkv.narrow(1, _width, _width), qkv.narrow(1, 2 * _width, _width), context.Layout, tape, context.Cache);
        attended = ChooseRows(attended, context);
        var h = _attentionProjection.Forward(attended, tape, context.Dropout, context.InTiles).AddInPlace(ChooseRows(x, context));
        var inner = _fullyConnected.Forward(_norm2.Forward(h, tape), tape, context.Dropout, context.InTiles);
        var y = _projection.Forward(Activation.Gelu(inner, tape), tape, context.Dropout, context.InTiles).AddInPlace(h);
        return y.MoveToOuterDisposeScope();
    }

    internal override Tensor? Backward(Tensor dy, BlockContext context, Tape tape, WeightGradients deferred, bool needInput)
    {
        using var scope = NewDisposeScope();
        var needQkv = needInput || AttentionTrains;
        var needAttention = needQkv || _attentionProjection.Trains;
        var needFullyConnected = needAttention || _norm2.Trains || _fullyConnected.Trains;
        if (_projection.Backward(dy, tape, deferred, needFullyConnected) is not { } dActivated)
        {
            return null;
        }

        var dInner = Activation.GeluBackward(dActivated, tape);
        if (_fullyConnected.Backward(dInner, tape, deferred, needAttention || _norm2.Trains) is not { } dNorm2)
        {
            return null;
        }

        var dh = _norm2.Backward(dNorm2, tape, deferred).AddInPlace(dy);
        if (!needAttention || _attentionProjection.Backward(dh, tape, deferred, needQkv) is not { } dAttended)
        {
            return null;
        }

        var dQkv = _attention.Backward(SpreadRows(dAttended, context), context.Layout, tape);
        var dNorm1 = _queryKeyValue.Backward(dQkv, tape, deferred, needInput || _norm1.Trains);
        return dNorm1 is null ? null : _norm1.Backward(dNorm1, tape, deferred).AddInPlace(SpreadRows(dh, context)).MoveToOuterDisposeScope();
    }

    public override void Dispose()
    {
        _norm1.Dispose();
        _queryKeyValue.Dispose();
        _attentionProjection.Dispose();
        _norm2.Dispose();
        _fullyConnected.Dispose();
        _projection.Dispose();
    }
}
