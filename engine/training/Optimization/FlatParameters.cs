using static TorchSharp.torch;

namespace SplitFrozen.Training.Optimization;

/// <summary>
/// The trainable parameters laid end to end in one buffer, and their gradients in another, so that an optimiser step and
/// clipping are a few calls over one long vector. Each parameter becomes a view of the buffer; its owner keeps using it.
/// Matrices lie before biases and norms, both in the given order, so that either group is one slice.
/// </summary>
internal sealed class FlatParameters : IDisposable
{
    private readonly TrainableTensor[] _parameters;
    private readonly Tensor[] _gradientViews;
    private readonly long[] _offsets;

    public FlatParameters(IReadOnlyList<TrainableTensor> parameters)
    {
        if (parameters.Count == 0)
        {
            throw new ArgumentException("There is no parameter to train.", nameof(parameters));
        }

        _parameters = [.. parameters.Where(IsMatrix), .. parameters.Where(parameter => !IsMatrix(parameter))];
        _gradientViews = new Tensor[_parameters.Length];
        _offsets = new long[_parameters.Length + 1];
        for (var i = 0; i < _parameters.Length; i++)
        {
            _offsets[i + 1] = _offsets[i] + _parameters[i].Value.NumberOfElements;
            MatrixElements += IsMatrix(_parameters[i]) ? _parameters[i].Value.NumberOfElements : 0;
        }

        using var frozen = no_grad();
        var type = _parameters[0].Value.dtype;
        Values = empty(_offsets[^1], type);
        Gradients = zeros(_offsets[^1], type);
        for (var i = 0; i < _parameters.Length; i++)
        {
            Bind(i);
        }
    }

    /// <summary>All values, [N].</summary>
    public Tensor Values { get; }

    /// <summary>All gradients, [N].</summary>
    public Tensor Gradients { get; }

    /// <summary>How many of the first elements belong to parameters of two or more dimensions.</summary>
    public long MatrixElements { get; }

    /// <summary>Number of parameters.</summary>
    public int Count => _parameters.Length;

    /// <summary>Number of trained elements.</summary>
    public long Elements => _offsets[^1];

    /// <summary>Name of parameter <paramref name="index"/>.</summary>
    public string Name(int index) => _parameters[index].Name;

    /// <summary>Shape of parameter <paramref name="index"/>.</summary>
    public long[] Shape(int index) => _parameters[index].Value.shape;

    /// <summary>The slice of a buffer of N elements that belongs to parameter <paramref name="index"/>, in its shape: a view.</summary>
    public Tensor Slice(Tensor buffer, int index)
    {
        using var slice = buffer.narrow(0, _offsets[index], _offsets[index + 1] - _offsets[index]);
        return slice.view(Shape(index));
    }

    public void ZeroGradients()
    {
        using var frozen = no_grad();
        Gradients.zero_();
    }

    public void Dispose()
    {
        foreach (var view in _gradientViews)
        {
            view.Dispose();
        }

        Values.Dispose();
        Gradients.Dispose();
    }

    private static bool IsMatrix(TrainableTensor parameter) => parameter.Value.dim() >= 2;

    private void Bind(int index)
    {
        var value = _parameters[index].Value;
        using var view = Slice(Values, index);
        view.copy_(value);
        value.set_(view);
        _gradientViews[index] = Slice(Gradients, index);
        value.grad = _gradientViews[index];
    }
}
