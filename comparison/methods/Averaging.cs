using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Comparison.Methods;

/// <summary>Federated averaging of trained values (McMahan et al., arXiv 1602.05629).</summary>
public static class Averaging
{
    /// <summary>
    /// The weighted sum <c>Σ wᵢ xᵢ</c>, added up in double precision in the order of the clients, so that one client with the
    /// weight 1 keeps its bits.
    /// </summary>
    /// <param name="values">Values of each client, all of one shape and type; they stay the caller's.</param>
    /// <param name="weights">Weight of each client.</param>
    /// <returns>A new tensor of the values' type, the caller's.</returns>
    /// <exception cref="ArgumentException">There is no client, or not a weight for each.</exception>
    public static Tensor Weighted(IReadOnlyList<Tensor> values, IReadOnlyList<double> weights)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(weights);
        if (values.Count == 0 || values.Count != weights.Count)
        {
            throw new ArgumentException($"There are {values.Count} values and {weights.Count} weights; expected a weight for each and at least one.", nameof(weights));
        }

        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var sum = values[0].to(ScalarType.Float64).Times(weights[0]);
        for (var i = 1; i < values.Count; i++)
        {
            _ = sum.AddInPlace(values[i].to(ScalarType.Float64).Times(weights[i]));
        }

        return sum.to(values[0].dtype).MoveToOuterDisposeScope();
    }
}
