using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>
/// Holds a model's parameters as views of one flat buffer, and their gradients as views of another, so that an optimiser works
/// on all of them with a few calls. Every view begins at a multiple of 16 elements; the gaps are zero in both buffers.
/// </summary>
internal sealed class ParameterStore(ScalarType type) : IDisposable
{
    private const long Alignment = 16;

    private readonly List<Parameter> _parameters = [];

    internal IReadOnlyList<Parameter> Parameters => _parameters;

    /// <summary>All values <c>[n]</c>, once sealed.</summary>
    internal Tensor? Values { get; private set; }

    /// <summary>All gradients <c>[n]</c>, once sealed; stale where a parameter's gradient is null.</summary>
    internal Tensor? Gradients { get; private set; }

    /// <summary>Adds a parameter that takes over its initial value.</summary>
    internal Parameter Add(string name, Tensor value)
    {
        var parameter = new Parameter(name, value.DetachFromDisposeScope());
        _parameters.Add(parameter);
        return parameter;
    }

    /// <summary>Moves all values into the flat buffer.</summary>
    internal void Seal()
    {
        using var scope = NewDisposeScope();
        var total = _parameters.Sum(Padded);
        Values = zeros([total], type).DetachFromDisposeScope();
        Gradients = zeros([total], type).DetachFromDisposeScope();
        var begin = 0L;
        foreach (var parameter in _parameters)
        {
            var (count, shape) = (parameter.Value.NumberOfElements, parameter.Value.shape);
            parameter.MoveTo(Values.narrow(0, begin, count).view(shape), Gradients.narrow(0, begin, count).view(shape));
            begin += Padded(parameter);
        }
    }

    /// <summary>Makes every parameter's gradient null.</summary>
    internal void ClearGradients() => _parameters.ForEach(parameter => parameter.ClearGradient());

    public void Dispose()
    {
        _parameters.ForEach(parameter => parameter.Free());
        Values?.Dispose();
        Gradients?.Dispose();
    }

    private static long Padded(Parameter parameter) => (parameter.Value.NumberOfElements + Alignment - 1) / Alignment * Alignment;
}
