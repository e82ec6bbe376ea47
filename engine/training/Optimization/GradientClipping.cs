using static TorchSharp.torch;

namespace SplitFrozen.Training.Optimization;

/// <summary>Clipping by the global norm (Pascanu and others, arXiv 1211.5063), with torch.nn.utils.clip_grad_norm_'s formula.</summary>
public static class GradientClipping
{
    private const double NormOffset = 1e-6;

    /// <summary>
    /// Scales the gradients in place by <c>min(1, maximum / (norm + 1e-6))</c>, norm being the Euclidean norm of all of them.
    /// </summary>
    /// <param name="gradients">All gradients, [N].</param>
    /// <param name="maximumNorm">Largest norm; 0 turns clipping off.</param>
    /// <returns>The norm before clipping; not finite when a gradient is not, and then nothing is scaled.</returns>
    public static double Clip(Tensor gradients, double maximumNorm)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentOutOfRangeException.ThrowIfNegative(maximumNorm);
        using var frozen = no_grad();
        using var total = gradients.norm();
        using var wide = total.to(ScalarType.Float64);
        var norm = wide.item<double>();
        var scale = maximumNorm / (norm + NormOffset);
        if (maximumNorm > 0 && double.IsFinite(norm) && scale < 1.0)
        {
            gradients.mul_(scale);
        }

        return norm;
    }
}
