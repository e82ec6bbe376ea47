using SplitFrozen.Torch.Kernels;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>A weight of a layer: a frozen tensor or int8 matrix that the layer owns, or a parameter that the model owns.</summary>
internal sealed class LayerWeight : IDisposable
{
    private readonly Tensor? _frozen;

    internal LayerWeight(Tensor frozen) => _frozen = frozen;

    internal LayerWeight(Int8Weights frozen) => Int8 = frozen;

    internal LayerWeight(Parameter parameter) => Parameter = parameter;

    /// <summary>The matrix, if it is kept as int8; then there is no <see cref="Value"/>.</summary>
    internal Int8Weights? Int8 { get; }

    /// <summary>The parameter, if the weight trains.</summary>
    internal Parameter? Parameter { get; }

    internal Tensor Value => Parameter?.Value ?? _frozen!;

    public void Dispose()
    {
        _frozen?.Dispose();
        Int8?.Dispose();
    }
}
