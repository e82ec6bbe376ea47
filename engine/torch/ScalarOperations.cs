using TorchSharp;
using static TorchSharp.torch;

namespace SplitFrozen.Torch;

/// <summary>
/// Operations with a number. TorchSharp 0.107 hands a <see cref="Scalar"/>'s native handle over and does not keep the object alive: a temporary one, also the
/// one that its own <c>add_(Tensor)</c> makes, may be finalised while the operation reads it, which fails now and then or, worse, computes with
/// whatever lies there. Here every scalar lives until its operation has returned; a test of the architecture holds that nobody goes past this.
/// </summary>
public static class ScalarOperations
{
    private static readonly Scalar s_one = 1.0;

    /// <summary><c>target += addend</c>; returns the target.</summary>
    public static Tensor AddInPlace(this Tensor target, Tensor addend)
    {
        ArgumentNullException.ThrowIfNull(target);
        return target.add_(addend, s_one);
    }

    /// <summary><c>left + right</c> in a new tensor.</summary>
    public static Tensor Plus(this Tensor left, Tensor right)
    {
        ArgumentNullException.ThrowIfNull(left);
        return left.add(right, s_one);
    }

    /// <summary><c>tensor + number</c> in a new tensor.</summary>
    public static Tensor Plus(this Tensor tensor, double number) => With(number, tensor, static (x, scalar) => x.add(scalar));

    /// <summary><c>tensor · factor</c> in a new tensor.</summary>
    public static Tensor Times(this Tensor tensor, double factor) => With(factor, tensor, static (x, scalar) => x.mul(scalar));

    /// <summary><c>target *= factor</c>; returns the target.</summary>
    public static Tensor MultiplyInPlace(this Tensor target, double factor) => With(factor, target, static (x, scalar) => x.mul_(scalar));

    /// <summary><c>target /= divisor</c>; returns the target.</summary>
    public static Tensor DivideInPlace(this Tensor target, double divisor) => With(divisor, target, static (x, scalar) => x.div_(scalar));

    /// <summary>Sets every element; returns the target.</summary>
    public static Tensor FillInPlace(this Tensor target, double number) => With(number, target, static (x, scalar) => x.fill_(scalar));

    /// <summary>Sets chosen elements of the first dimension; returns the target.</summary>
    public static Tensor FillInPlace(this Tensor target, Tensor index, double number) => With(number, target, (x, scalar) => x.index_fill_(0, index, scalar));

    /// <summary>Whether each element equals a number.</summary>
    public static Tensor EqualTo(this Tensor tensor, double number) => With(number, tensor, static (x, scalar) => x.eq(scalar));

    /// <summary>Adds rows of one tensor to the rows of another that an index names; returns the target.</summary>
    public static Tensor AddRowsInPlace(this Tensor target, Tensor index, Tensor rows)
    {
        ArgumentNullException.ThrowIfNull(target);
        return target.index_add_(0, index, rows, s_one);
    }

    private static Tensor With(double number, Tensor tensor, Func<Tensor, Scalar, Tensor> operation)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        using Scalar scalar = number;
        return operation(tensor, scalar);
    }
}
