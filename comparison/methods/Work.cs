using System.Runtime.InteropServices;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Torch;

namespace SplitFrozen.Comparison.Methods;

/// <summary>Arithmetic on <see cref="WorkCount"/>.</summary>
internal static class Work
{
    /// <summary>Bytes of one label on the wire.</summary>
    public const int LabelBytes = sizeof(int);

    /// <summary>Forward passes of samples through some blocks.</summary>
    /// <param name="config">Sizes of the model.</param>
    /// <param name="blocks">Blocks that run.</param>
    /// <param name="samples">The samples.</param>
    /// <param name="passes">How often each goes forward.</param>
    public static WorkCount Forward(TransformerConfig config, int blocks, IEnumerable<EncodedSample> samples, int passes = 1)
    {
        int[] once = [.. samples.Select(sample => sample.Tokens.Length)];
        int[] lengths = [.. Enumerable.Repeat(once, passes).SelectMany(all => all)];
        var tokens = lengths.Sum(length => (long)length);
        return new WorkCount
        {
            ForwardTokens = tokens,
            ForwardBlockTokens = blocks * tokens,
            ForwardFlops = FrozenEncoder.ForwardFlops(config, blocks, lengths),
        };
    }

    /// <summary>The sum of two.</summary>
    public static WorkCount Plus(this WorkCount left, WorkCount right) => new()
    {
        ForwardTokens = left.ForwardTokens + right.ForwardTokens,
        BackwardTokens = left.BackwardTokens + right.BackwardTokens,
        ForwardBlockTokens = left.ForwardBlockTokens + right.ForwardBlockTokens,
        ForwardFlops = left.ForwardFlops + right.ForwardFlops,
        Steps = left.Steps + right.Steps,
        ActivationBytesSent = left.ActivationBytesSent + right.ActivationBytesSent,
        GradientBytesReceived = left.GradientBytesReceived + right.GradientBytesReceived,
        AdapterBytesSent = left.AdapterBytesSent + right.AdapterBytesSent,
        AdapterBytesReceived = left.AdapterBytesReceived + right.AdapterBytesReceived,
    };
}

/// <summary>Copies of trained tensors.</summary>
internal static class TrainedValues
{
    /// <summary>The present values of parameters.</summary>
    public static IReadOnlyList<TrainedTensor> Of(IEnumerable<Parameter> parameters) =>
    [
        .. parameters.Select(parameter => new TrainedTensor(
            parameter.Name, parameter.Value.shape, MemoryMarshal.Cast<byte, float>(TensorBytes.ToBytes(parameter.Value)).ToArray())),
    ];

    /// <summary>Bytes of parameters as f32.</summary>
    public static long Bytes(IEnumerable<Parameter> parameters) => parameters.Sum(parameter => parameter.Value.NumberOfElements) * sizeof(float);
}
