using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace SplitFrozen.Torch;

/// <summary>
/// Products of int8 matrices with int32 sums, which are exact: an element is the same whatever else is multiplied beside it, and on every processor.
/// Libtorch's kernel (oneDNN, with AMX or VNNI where the processor has them) is used where it proves exact: without VNNI it adds pairs in 16 bits,
/// which saturate. Elsewhere the product is computed in doubles, which hold every such sum; that is slow and right.
/// </summary>
public static class IntegerProduct
{
    /// <summary>Largest number of terms whose sum cannot leave int32.</summary>
    public const int LargestDepth = int.MaxValue / (128 * 128);

    private static readonly Lazy<bool> s_isExact = new(Probe, LazyThreadSafetyMode.ExecutionAndPublication);

    /// <summary>Whether this machine multiplies by libtorch's kernel. The first use asks it, in about 10 ms.</summary>
    public static bool IsAccelerated => s_isExact.Value;

    /// <summary>Writes <c>a bᵀ</c> into int32 <c>[m, n]</c>; a is int8 <c>[m, k]</c>, b int8 <c>[n, k]</c>.</summary>
    /// <exception cref="ArgumentException">k is larger than <see cref="LargestDepth"/>.</exception>
    /// <exception cref="LibtorchException">The kernel refused the matrices.</exception>
    public static void MultiplyInto(Tensor product, Tensor a, Tensor b)
    {
        ArgumentNullException.ThrowIfNull(product);
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.shape[1] > LargestDepth)
        {
            throw new ArgumentException($"A sum of {a.shape[1]} products does not fit 32 bits; at most {LargestDepth} do.", nameof(a));
        }

        if (!s_isExact.Value)
        {
            MultiplyInDoubles(product, a, b);
        }
        else if (!TryMultiplyNatively(product, a, b))
        {
            throw new LibtorchException($"libtorch did not multiply int8 matrices of shapes [{string.Join(", ", a.shape)}] and [{string.Join(", ", b.shape)}]; it says why on standard error.");
        }
    }

    /// <summary>The product in doubles.</summary>
    internal static void MultiplyInDoubles(Tensor product, Tensor a, Tensor b)
    {
        using var scope = NewDisposeScope();
        _ = product.copy_(a.to(ScalarType.Float64).mm(b.to(ScalarType.Float64).t()));
    }

    /// <summary>The product by libtorch's kernel; false where it failed.</summary>
    internal static bool TryMultiplyNatively(Tensor product, Tensor a, Tensor b)
    {
        using var transposed = b.t();
        var failed = Native.IntegerProduct(product.Handle, a.Handle, transposed.Handle);
        GC.KeepAlive(product);
        GC.KeepAlive(a);
        return failed == 0;
    }

    // The largest numbers of either sign: a kernel that adds pairs in 16 bits gets them wrong.
    private static bool Probe()
    {
        const int Rows = 64;
        const int Depth = 256;
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var (left, right) = (new sbyte[Rows * Depth], new sbyte[Rows * Depth]);
        for (var i = 0; i < left.Length; i++)
        {
            left[i] = i / Depth % 3 == 0 || i % 5 == 0 ? sbyte.MinValue : sbyte.MaxValue;
            right[i] = i / Depth % 2 == 0 ? sbyte.MaxValue : (sbyte)-sbyte.MaxValue;
        }

        var (a, b) = (tensor(left, [Rows, Depth], ScalarType.Int8), tensor(right, [Rows, Depth], ScalarType.Int8));
        var (native, exact) = (empty([Rows, Rows], ScalarType.Int32), empty([Rows, Rows], ScalarType.Int32));
        MultiplyInDoubles(exact, a, b);
        return TryMultiplyNatively(native, a, b) && TensorBytes.View(native).SequenceEqual(TensorBytes.View(exact));
    }

    private static class Native
    {
        // TorchSharp has no method for this operation. Libtorch offers it to compiled models (AOTInductor) in a C interface that it keeps stable, with
        // pointers to tensors as handles, which is what TorchSharp's are. The probe above would show if that were no longer so.
        [DllImport("libtorch_cpu", EntryPoint = "aoti_torch_cpu__int_mm_out", ExactSpelling = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        internal static extern int IntegerProduct(IntPtr product, IntPtr a, IntPtr b);
    }
}
