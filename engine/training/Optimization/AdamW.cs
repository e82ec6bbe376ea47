using static TorchSharp.torch;

namespace SplitFrozen.Training.Optimization;

/// <summary>
/// AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), in torch.optim.AdamW's order of operations:
/// <c>p ← p (1 − lr·λ)</c>, <c>m ← β₁m + (1−β₁)g</c>, <c>v ← β₂v + (1−β₂)g²</c>,
/// <c>p ← p − lr/(1−β₁ᵗ) · m / (√v / √(1−β₂ᵗ) + ε)</c>.
/// It works on two flat buffers of which the parameters and their gradients are views, so a step is a few calls over one long
/// vector: backward passes accumulate gradients in place, <see cref="ClipGradients"/> scales them, <see cref="Step"/> uses them
/// and sets them to zero. Gaps between parameters must be zero in both buffers; they stay zero.
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly Tensor _values;
    private readonly Tensor _gradients;
    private readonly TrainableTensor[] _parameters;
    private readonly AdamWOptions _options;
    private readonly Tensor _firstMoments;
    private readonly Tensor _secondMoments;
    private readonly Tensor _scratch;

    /// <summary>Starts with moments of zero. Buffers and parameters stay their owner's.</summary>
    /// <param name="values">All values, [N], contiguous, on the CPU, of any floating-point type.</param>
    /// <param name="gradients">All gradients, [N].</param>
    /// <param name="parameters">The parameters, each a view of <paramref name="values"/>, with unique names.</param>
    /// <param name="options">Decays and epsilon.</param>
    /// <exception cref="ArgumentException">There is no parameter, or one is no view of the buffer.</exception>
    public AdamW(Tensor values, Tensor gradients, IReadOnlyList<TrainableTensor> parameters, AdamWOptions options)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(options);
        if (parameters.Count == 0 || parameters.Any(parameter => !IsView(parameter.Value, values)))
        {
            throw new ArgumentException("Every parameter must be a contiguous view of the buffer, and there must be one.", nameof(parameters));
        }

        _values = values;
        _gradients = gradients;
        _parameters = [.. parameters];
        _options = options;
        using var frozen = no_grad();
        _firstMoments = zeros_like(values).DetachFromDisposeScope();
        _secondMoments = zeros_like(values).DetachFromDisposeScope();
        _scratch = empty_like(values).DetachFromDisposeScope();
        _gradients.zero_();
    }

    /// <summary>Steps taken so far; part of the state, because the bias correction depends on it.</summary>
    public int StepsTaken { get; private set; }

    /// <summary>Number of trained elements.</summary>
    public long Elements => _parameters.Sum(parameter => parameter.Value.NumberOfElements);

    /// <summary>Scales the gradients down to a global norm; see <see cref="GradientClipping.Clip"/>.</summary>
    /// <param name="maximumNorm">Largest norm; 0 turns clipping off.</param>
    /// <returns>The norm before clipping.</returns>
    public double ClipGradients(double maximumNorm) => GradientClipping.Clip(_gradients, maximumNorm);

    /// <summary>One update with the accumulated gradients, which are zero afterwards.</summary>
    /// <param name="learningRate">Learning rate of this step, at least 0.</param>
    public void Step(double learningRate)
    {
        using var frozen = no_grad();
        StepsTaken++;
        Decay(learningRate);
        _firstMoments.mul_(_options.Beta1).add_(_gradients, 1.0 - _options.Beta1);
        _secondMoments.mul_(_options.Beta2).addcmul_(_gradients, _gradients, 1.0 - _options.Beta2);
        _scratch.copy_(_secondMoments);
        _scratch.sqrt_().div_(Math.Sqrt(1.0 - Math.Pow(_options.Beta2, StepsTaken))).add_(_options.Epsilon);
        var stepSize = learningRate / (1.0 - Math.Pow(_options.Beta1, StepsTaken));
        _values.addcdiv_(_firstMoments, _scratch, -stepSize);
        _gradients.zero_();
    }

    /// <summary>Sets all gradients to zero, dropping what was accumulated.</summary>
    public void ZeroGradients()
    {
        using var frozen = no_grad();
        _gradients.zero_();
    }

    /// <summary>The state by name: every parameter's value and moments, as views that stay valid while the optimiser lives.</summary>
    /// <returns>Name of the parameter and its three tensors, in the order of the buffer. The caller disposes the views.</returns>
    public IEnumerable<ParameterState> State()
    {
        foreach (var parameter in _parameters)
        {
            yield return new ParameterState(
                parameter.Name, parameter.Value.alias(), Slice(_firstMoments, parameter.Value), Slice(_secondMoments, parameter.Value));
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

    /// <summary>Frees the moments. The parameters keep their values.</summary>
    public void Dispose()
    {
        _firstMoments.Dispose();
        _secondMoments.Dispose();
        _scratch.Dispose();
    }

    private static bool IsView(Tensor view, Tensor buffer)
    {
        var offset = view.storage_offset() - buffer.storage_offset();
        return view.is_contiguous() && view.dtype == buffer.dtype && offset >= 0 && offset + view.NumberOfElements <= buffer.NumberOfElements;
    }

    private Tensor Slice(Tensor buffer, Tensor parameter)
    {
        using var slice = buffer.narrow(0, parameter.storage_offset() - _values.storage_offset(), parameter.NumberOfElements);
        return slice.view(parameter.shape);
    }

    private void Decay(double learningRate)
    {
        var factor = 1.0 - (learningRate * _options.WeightDecay);
        if (!_options.DecayMatricesOnly)
        {
            _values.mul_(factor);
            return;
        }

        foreach (var parameter in _parameters.Where(parameter => parameter.Value.dim() >= 2))
        {
            parameter.Value.mul_(factor);
        }
    }
}

/// <summary>A tensor to train.</summary>
/// <param name="Name">Unique name; the state is saved under it.</param>
/// <param name="Value">Its values: a contiguous view of the buffer of all values.</param>
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
