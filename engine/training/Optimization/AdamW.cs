using static TorchSharp.torch;

namespace SplitFrozen.Training.Optimization;

/// <summary>
/// AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), in torch.optim.AdamW's order of operations:
/// <c>p ← p (1 − lr·λ)</c>, <c>m ← β₁m + (1−β₁)g</c>, <c>v ← β₂v + (1−β₂)g²</c>,
/// <c>p ← p − lr/(1−β₁ᵗ) · m / (√v / √(1−β₂ᵗ) + ε)</c>.
/// From its creation on the parameters, and their gradients, are views of buffers that it owns: gradients are accumulated in
/// place by backward passes, clipped by <see cref="ClipGradients"/>, used by <see cref="Step"/> and then set to zero.
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly FlatParameters _parameters;
    private readonly AdamWOptions _options;
    private readonly Tensor _firstMoments;
    private readonly Tensor _secondMoments;
    private readonly Tensor _scratch;

    /// <summary>Takes over the parameters; their values stay. They must outlive the optimiser's last step, and share one type.</summary>
    /// <exception cref="ArgumentException">The list is empty.</exception>
    public AdamW(IReadOnlyList<TrainableTensor> parameters, AdamWOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _parameters = new FlatParameters(parameters);
        _firstMoments = zeros_like(_parameters.Values);
        _secondMoments = zeros_like(_parameters.Values);
        _scratch = empty_like(_parameters.Values);
    }

    /// <summary>Steps taken so far; part of the state, because the bias correction depends on it.</summary>
    public int StepsTaken { get; private set; }

    /// <summary>Number of trained elements.</summary>
    public long Elements => _parameters.Elements;

    /// <summary>Scales the gradients down to a global norm; see <see cref="GradientClipping.Clip"/>.</summary>
    /// <param name="maximumNorm">Largest norm; 0 turns clipping off.</param>
    /// <returns>The norm before clipping.</returns>
    public double ClipGradients(double maximumNorm) => GradientClipping.Clip(_parameters.Gradients, maximumNorm);

    /// <summary>One update with the accumulated gradients, which are zero afterwards.</summary>
    /// <param name="learningRate">Learning rate of this step, at least 0.</param>
    public void Step(double learningRate)
    {
        using var frozen = no_grad();
        StepsTaken++;
        Decay(learningRate);
        _firstMoments.mul_(_options.Beta1).add_(_parameters.Gradients, 1.0 - _options.Beta1);
        _secondMoments.mul_(_options.Beta2).addcmul_(_parameters.Gradients, _parameters.Gradients, 1.0 - _options.Beta2);
        _scratch.copy_(_secondMoments);
        _scratch.sqrt_().div_(Math.Sqrt(1.0 - Math.Pow(_options.Beta2, StepsTaken))).add_(_options.Epsilon);
        var stepSize = learningRate / (1.0 - Math.Pow(_options.Beta1, StepsTaken));
        _parameters.Values.addcdiv_(_firstMoments, _scratch, -stepSize);
        _parameters.Gradients.zero_();
    }

    /// <summary>Sets all gradients to zero, dropping what was accumulated.</summary>
    public void ZeroGradients() => _parameters.ZeroGradients();

    /// <summary>The state by name: every parameter's value and moments, as views that stay valid while the optimiser lives.</summary>
    /// <returns>Name of the parameter and its three tensors, in the order of the buffer. The caller disposes the views.</returns>
    public IEnumerable<ParameterState> State()
    {
        for (var i = 0; i < _parameters.Count; i++)
        {
            yield return new ParameterState(
                _parameters.Name(i),
                _parameters.Slice(_parameters.Values, i),
                _parameters.Slice(_firstMoments, i),
                _parameters.Slice(_secondMoments, i));
        }
    }

    /// <summary>Sets the number of steps after the state's tensors were overwritten from a checkpoint.</summary>
    /// <param name="stepsTaken">Steps taken, at least 0.</param>
    public void Resume(int stepsTaken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(stepsTaken);
        StepsTaken = stepsTaken;
        ZeroGradients();
    }

    /// <summary>Frees moments and buffers. The parameters keep their values, but must not be trained any more.</summary>
    public void Dispose()
    {
        _firstMoments.Dispose();
        _secondMoments.Dispose();
        _scratch.Dispose();
        _parameters.Dispose();
    }

    private void Decay(double learningRate)
    {
        var factor = 1.0 - (learningRate * _options.WeightDecay);
        if (!_options.DecayMatricesOnly)
        {
            _parameters.Values.mul_(factor);
            return;
        }

        using var matrices = _parameters.Values.narrow(0, 0, _parameters.MatrixElements);
        matrices.mul_(factor);
    }
}

/// <summary>A tensor to train.</summary>
/// <param name="Name">Unique name; the state is saved under it.</param>
/// <param name="Value">A contiguous leaf tensor on the CPU, of any floating-point type; made a view of the optimiser's buffer.</param>
public sealed record TrainableTensor(string Name, Tensor Value);

/// <summary>One parameter in an optimiser, as views of its buffers.</summary>
/// <param name="Name">The parameter's name.</param>
/// <param name="Value">The trained values.</param>
/// <param name="FirstMoment">Running mean of the gradient, in the value's shape.</param>
/// <param name="SecondMoment">Running mean of the squared gradient, in the value's shape.</param>
public sealed record ParameterState(string Name, Tensor Value, Tensor FirstMoment, Tensor SecondMoment) : IDisposable
{
    /// <summary>Frees the views; the optimiser keeps the memory.</summary>
    public void Dispose()
    {
        Value.Dispose();
        FirstMoment.Dispose();
        SecondMoment.Dispose();
    }
}
