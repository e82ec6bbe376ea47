using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>A weight of a layer: a frozen tensor that the layer owns, or a parameter that the model owns.</summary>
internal sealed class LayerWeight : IDisposable
{
    private readonly Tensor? _frozen;

    internal LayerWeight(Tensor frozen) => _frozen = frozen;

    internal LayerWeight(Parameter parameter) => Parameter = parameter;

    /// <summary>The parameter, if the weight trains.</summary>
    internal Parameter? Parameter { get; }

    internal Tensor Value => Parameter?.Value ?? _frozen!;

    public void Dispose() => _frozen?.Dispose();
}
