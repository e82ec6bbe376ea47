using System.Numerics;
using System.Runtime.InteropServices;
using SplitFrozen.Models;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Optimization;

/// <summary>
/// AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), in torch.optim.AdamW's order of operations:
/// <c>p ← p (1 − lr·λ)</c>, <c>m ← β₁m + (1−β₁)g</c>, <c>v ← β₂v + (1−β₂)g²</c>,
/// <c>p ← p − lr/(1−β₁ᵗ) · m / (√v / √(1−β₂ᵗ) + ε)</c>.
/// It works on two flat buffers of which the parameters and their gradients are views: backward passes accumulate gradients in
/// place, <see cref="ClipGradients"/> scales them, <see cref="Step"/> uses them and sets them to zero.
/// </summary>
public sealed class AdamW : IDisposable
{
    private readonly Tensor _values;
    private readonly Tensor _gradients;
    private readonly TrainableTensor[] _parameters;
    private readonly AdamWOptions _options;
    private readonly Tensor _firstMoments;
    private readonly Tensor _secondMoments;

    /// <summary>Starts with moments of zero. Buffers and parameters stay their owner's.</summary>
    /// <param name="values">All values, [N], contiguous, on the CPU, Float32 or Float64.</param>
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

        if (values.dtype is not (ScalarType.Float32 or ScalarType.Float64) || gradients.dtype != values.dtype || gradients.NumberOfElements != values.NumberOfElements)
        {
            throw new ArgumentException("Values and gradients must be of one size and both Float32, or both Float64.", nameof(gradients));
        }

        _values = values;
        _gradients = gradients;
        _parameters = [.. parameters];
        _options = options;
        using var frozen = no_grad();
        _firstMoments = zeros_like(values).DetachFromDisposeScope();
        _secondMoments = zeros_like(values).DetachFromDisposeScope();
        ZeroGradients();
    }

    /// <summary>An optimiser of a model's parameters, with moments of zero.</summary>
    /// <param name="values">The model's flat values, [N].</param>
    /// <param name="gradients">Its flat gradients, [N].</param>
    /// <param name="parameters">Its parameters.</param>
    /// <param name="options">Decays and epsilon.</param>
    public static AdamW Over(Tensor values, Tensor gradients, IEnumerable<Parameter> parameters, AdamWOptions options) =>
        new(values, gradients, [.. parameters.Select(parameter => new TrainableTensor(parameter.Name, parameter.Value))], options);

    /// <summary>Steps taken so far; part of the state, because the bias correction depends on it.</summary>
    public int StepsTaken { get; private set; }

    /// <summary>Number of trained elements.</summary>
    public long Elements => _parameters.Sum(parameter => parameter.Value.NumberOfElements);

    /// <summary>Sum of the squares of each parameter's gradient, in the order of the buffer.</summary>
    public double[] GradientSquares() => Array.ConvertAll(_parameters, parameter =>
    {
        using var gradient = Slice(_gradients, parameter.Value);
        return GradientClipping.Squares(gradient);
    });

    /// <summary>Scales the gradients down to a global norm, where they are all that there are; see <see cref="GradientClipping"/>.</summary>
    /// <param name="maximumNorm">Largest norm; 0 turns clipping off.</param>
    /// <returns>The norm before clipping; not finite when a gradient is not, and then nothing is scaled.</returns>
    public double ClipGradients(double maximumNorm)
    {
        var norm = GradientClipping.Norm(GradientSquares());
        ScaleGradients(GradientClipping.Scale(norm, maximumNorm));
        return norm;
    }

    /// <summary>Multiplies all gradients.</summary>
    public void ScaleGradients(double factor)
    {
        if (factor != 1)
        {
            using var frozen = no_grad();
            _ = _gradients.MultiplyInPlace(factor);
        }
    }

    /// <summary>One update with the accumulated gradients, which are zero afterwards.</summary>
    /// <param name="learningRate">Learning rate of this step, at least 0.</param>
    public void Step(double learningRate)
    {
        using var phase = PhaseTimes.In("optimiser");
        StepsTaken++;
        if (_values.dtype == ScalarType.Float64)
        {
            Update<double>(learningRate);
        }
        else
        {
            Update<float>(learningRate);
        }
    }

    /// <summary>Sets all gradients to zero, dropping what was accumulated.</summary>
    public void ZeroGradients()
    {
        using var frozen = no_grad();
        _ = _gradients.FillInPlace(0);
    }

    /// <summary>All gradients, [N]; what is written there counts.</summary>
    public Tensor Gradients => _gradients;

    /// <summary>Every parameter's value and moments in the order of the buffer, as views that stay valid while the optimiser lives.</summary>
    public TrainingState State() => new(
        Array.ConvertAll(_parameters, parameter => new ParameterState(
            parameter.Name, parameter.Value.alias(), Slice(_firstMoments, parameter.Value), Slice(_secondMoments, parameter.Value))),
        StepsTaken);

    /// <summary>Takes values, moments and the number of steps from a state that has at least these parameters; gradients are zero then.</summary>
    /// <param name="state">The state; its tensors may be views of this optimiser's own.</param>
    /// <exception cref="ArgumentException">A parameter is missing.</exception>
    public void Restore(TrainingState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        var given = state.Parameters.ToDictionary(parameter => parameter.Name, StringComparer.Ordinal);
        using var own = State();
        using var frozen = no_grad();
        foreach (var target in own.Parameters)
        {
            var source = given.GetValueOrDefault(target.Name) ?? throw new ArgumentException($"The state has no parameter '{target.Name}'.", nameof(state));
            _ = target.Value.copy_(source.Value);
            _ = target.FirstMoment.copy_(source.FirstMoment);
            _ = target.SecondMoment.copy_(source.SecondMoment);
        }

        StepsTaken = state.StepsTaken;
        ZeroGradients();
    }

    /// <summary>Frees the moments. The parameters keep their values.</summary>
    public void Dispose()
    {
        _firstMoments.Dispose();
        _secondMoments.Dispose();
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

    private void Update<T>(double learningRate)
        where T : unmanaged, IRootFunctions<T>
    {
        var kernel = new AdamWKernel<T>(_options, learningRate, StepsTaken);
        var decayed = T.CreateChecked(1.0 - (learningRate * _options.WeightDecay));
        var values = View<T>(_values);
        var gradients = View<T>(_gradients);
        var first = View<T>(_firstMoments);
        var second = View<T>(_secondMoments);
        foreach (var parameter in _parameters)
        {
            var begin = (int)(parameter.Value.storage_offset() - _values.storage_offset());
            var count = (int)parameter.Value.NumberOfElements;
            var keep = _options.DecayMatricesOnly && parameter.Value.dim() < 2 ? T.One : decayed;
            kernel.Update(values.Slice(begin, count), gradients.Slice(begin, count), first.Slice(begin, count), second.Slice(begin, count), keep);
        }
    }

    private static Span<T> View<T>(Tensor tensor)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(TensorBytes.View(tensor));
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
    private const string ValuePrefix = "value.";
    private const string FirstMomentPrefix = "first_moment.";
    private const string SecondMomentPrefix = "second_moment.";

    /// <summary>A state of the tensors that files and messages hold under the names of <see cref="Tensors"/>.</summary>
    /// <param name="name">The parameter's name.</param>
    /// <param name="take">Gives the tensor of a name, which is taken over.</param>
    public static ParameterState Of(string name, Func<string, Tensor> take)
    {
        ArgumentNullException.ThrowIfNull(take);
        return new ParameterState(name, take(ValuePrefix + name), take(FirstMomentPrefix + name), take(SecondMomentPrefix + name));
    }

    /// <summary>The three tensors under the names that they have in files and messages.</summary>
    public IReadOnlyList<(string Name, Tensor Tensor)> Tensors() =>
        [(ValuePrefix + Name, Value), (FirstMomentPrefix + Name, FirstMoment), (SecondMomentPrefix + Name, SecondMoment)];

    /// <summary>Frees the views; the optimiser keeps the memory.</summary>
    public void Dispose()
    {
        Value.Dispose();
        FirstMoment.Dispose();
        SecondMoment.Dispose();
    }
}
