using SplitFrozen.Training.Optimization;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Tests;

/// <summary>Leaf tensors laid out as views of one buffer, with gradients as views of another, as a model lays them out.</summary>
internal sealed class FlatTensors
{
    public FlatTensors(params (string Name, Tensor Initial)[] parameters)
    {
        using var frozen = no_grad();
        var total = parameters.Sum(parameter => parameter.Initial.NumberOfElements);
        Values = zeros(total, parameters[0].Initial.dtype);
        Gradients = zeros(total, parameters[0].Initial.dtype);
        var offset = 0L;
        foreach (var (name, initial) in parameters)
        {
            var value = Values.narrow(0, offset, initial.NumberOfElements).view(initial.shape);
            value.copy_(initial);
            var leaf = value.detach().requires_grad_();
            leaf.grad = Gradients.narrow(0, offset, initial.NumberOfElements).view(initial.shape);
            Parameters.Add(new TrainableTensor(name, leaf));
            offset += initial.NumberOfElements;
        }
    }

    public Tensor Values { get; }

    public Tensor Gradients { get; }

    public List<TrainableTensor> Parameters { get; } = [];

    public AdamW Optimizer(AdamWOptions options) => new(Values, Gradients, Parameters, options);
}
