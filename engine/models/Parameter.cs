using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>
/// A trainable tensor and its gradient. The name is the tensor's path in a PEFT adapter or a Hugging Face file, without the
/// family's prefix: <c>h.4.attn.c_attn.lora_A.weight</c>, <c>layers.3.self_attn.q_proj.lora_B.weight</c>, <c>score.weight</c>.
/// The model owns both tensors.
/// </summary>
public sealed class Parameter
{
    private Tensor? _gradient;

    internal Parameter(string name, Tensor value)
    {
        Name = name;
        Value = value;
    }

    /// <summary>Path of the tensor.</summary>
    public string Name { get; }

    /// <summary>The current value; an optimiser writes into it in place.</summary>
    public Tensor Value { get; private set; }

    /// <summary>Sum of the gradients since <see cref="ClearGradient"/>, of the shape of <see cref="Value"/>; null if there was none.</summary>
    public Tensor? Gradient => HasGradient ? _gradient : null;

    private bool HasGradient { get; set; }

    /// <summary>Makes <see cref="Gradient"/> null.</summary>
    public void ClearGradient() => HasGradient = false;

    /// <summary>Moves the value into a view of the model's flat buffer and takes a view for the gradient.</summary>
    internal void MoveTo(Tensor value, Tensor gradient)
    {
        _ = value.copy_(Value);
        Value.Dispose();
        Value = value.DetachFromDisposeScope();
        _gradient = gradient.DetachFromDisposeScope();
    }

    /// <summary>Frees both tensors.</summary>
    internal void Free()
    {
        Value.Dispose();
        _gradient?.Dispose();
    }

    /// <summary>Adds a finished gradient of the value's shape.</summary>
    internal void Accumulate(Tensor gradient)
    {
        _ = HasGradient ? _gradient!.AddInPlace(gradient) : _gradient!.copy_(gradient);
        HasGradient = true;
    }

    /// <summary>Adds the product <paramref name="left"/> · <paramref name="right"/> without a temporary.</summary>
    internal void AccumulateProduct(Tensor left, Tensor right)
    {
        _ = _gradient!.addmm_(left, right, beta: HasGradient ? 1 : 0, alpha: 1);
        HasGradient = true;
    }

    /// <summary>The gradient to add rows into, zero at first.</summary>
    internal Tensor GradientToAddTo()
    {
        if (!HasGradient)
        {
            _ = _gradient!.zero_();
            HasGradient = true;
        }

        return _gradient!;
    }
}
