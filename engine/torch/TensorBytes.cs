using TorchSharp;
using static TorchSharp.torch;

namespace SplitFrozen.Torch;

/// <summary>Copies between contiguous CPU tensors and little-endian bytes, the form of files and messages.</summary>
public static class TensorBytes
{
    /// <summary>A new tensor of the given shape, filled from <paramref name="bytes"/>. The caller owns it.</summary>
    /// <exception cref="ArgumentException">The number of bytes does not fit shape and type.</exception>
    public static Tensor FromBytes(ReadOnlySpan<byte> bytes, long[] shape, ScalarType type)
    {
        ArgumentNullException.ThrowIfNull(shape);
        var tensor = empty(shape, type);
        try
        {
            var target = View(tensor);
            if (target.Length != bytes.Length)
            {
                throw new ArgumentException(
                    $"A tensor of shape [{string.Join(", ", shape)}] and type {type} takes {target.Length} bytes, not {bytes.Length}.",
                    nameof(bytes));
            }

            bytes.CopyTo(target);
            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }

    /// <summary>Copies a tensor's elements, in row-major order, into <paramref name="destination"/>.</summary>
    /// <exception cref="ArgumentException"><paramref name="destination"/> is shorter or longer than the tensor.</exception>
    public static void CopyTo(Tensor tensor, Span<byte> destination)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        using var contiguous = tensor.contiguous();
        var source = View(contiguous);
        if (source.Length != destination.Length)
        {
            throw new ArgumentException($"The tensor has {source.Length} bytes, the destination {destination.Length}.", nameof(destination));
        }

        source.CopyTo(destination);
    }

    /// <summary>The tensor's elements in row-major order.</summary>
    public static byte[] ToBytes(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var bytes = new byte[checked(tensor.NumberOfElements * tensor.ElementSize)];
        CopyTo(tensor, bytes);
        return bytes;
    }

    /// <summary>The memory of a contiguous CPU tensor of at most 2 GiB as bytes: a view that is valid while the tensor lives.</summary>
    /// <exception cref="ArgumentException">The tensor is not contiguous or not on the CPU.</exception>
    public static Span<byte> View(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (tensor.device_type != DeviceType.CPU || !tensor.is_contiguous())
        {
            throw new ArgumentException("Only a contiguous CPU tensor has bytes to view.", nameof(tensor));
        }

        return tensor.NumberOfElements == 0 ? [] : tensor.bytes;
    }
}
