using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models;

/// <summary>Hidden states in the form in which they travel, in libtorch's memory: a message is written from them without a copy between.</summary>
public sealed class EncodedRows : IDisposable
{
    private readonly Tensor _states;
    private readonly Tensor? _scales;

    internal EncodedRows(Tensor states, Tensor? scales) => (_states, _scales) = (states, scales);

    /// <summary>Bytes of the states.</summary>
    public int StateBytes => checked((int)(_states.NumberOfElements * _states.ElementSize));

    /// <summary>Bytes of the scales; 0 but for int8.</summary>
    public int ScaleBytes => _scales is null ? 0 : checked((int)(_scales.NumberOfElements * _scales.ElementSize));

    /// <summary>Some rows, with handles of their own: both are to be disposed, in any order.</summary>
    public EncodedRows Slice(int first, int count) => new(
        _states.narrow(0, first, count).DetachFromDisposeScope(), _scales?.narrow(0, first, count).DetachFromDisposeScope());

    /// <summary>Copies the bytes, row-major and little-endian.</summary>
    /// <exception cref="ArgumentException">A destination is shorter or longer.</exception>
    public void CopyTo(Span<byte> states, Span<byte> scales)
    {
        TensorBytes.CopyTo(_states, states);
        if (_scales is not null)
        {
            TensorBytes.CopyTo(_scales, scales);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _states.Dispose();
        _scales?.Dispose();
    }
}
