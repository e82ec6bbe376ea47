using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models.Operations;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Blocks;

/// <summary>
/// Makes layers from the weights of a folder. Without a store everything is frozen; with one, adapters are added where the
/// LoRA targets name a layer, or, for pretraining, every weight becomes a parameter.
/// </summary>
internal sealed class LayerFactory(ModelFolder folder, ScalarType type)
{
    private readonly List<LinearLayer> _adapted = [];

    /// <summary>Where parameters go; null makes frozen layers.</summary>
    internal ParameterStore? Store { get; init; }

    /// <summary>Adapters to add; needs a store.</summary>
    internal LoraConfig? Lora { get; init; }

    /// <summary>Whether every weight becomes a parameter; needs a store.</summary>
    internal bool TrainAllWeights { get; init; }

    /// <summary>Seed of the adapters' initial values.</summary>
    internal ulong Seed { get; init; }

    /// <summary>The layers made so far that have an adapter.</summary>
    internal IReadOnlyList<LinearLayer> Adapted => _adapted;

    /// <summary>Whether matrices are int8: those of frozen blocks are, if the folder says so.</summary>
    private bool IsInt8 => Store is null && folder.FrozenWeights == FrozenWeights.Int8;

    private bool IsGpt2 => folder.Config.Family == ModelFamily.Gpt2;

    /// <summary>A linear layer at a canonical path, for example <c>h.0.attn.c_attn</c>. GPT-2's have a bias, Llama's none.</summary>
    internal LinearLayer Linear(string path, int inWidth, int outWidth)
    {
        long[] shape = IsGpt2 ? [inWidth, outWidth] : [outWidth, inWidth];
        var adapter = Adapter(path, inWidth, outWidth);
        var layer = new LinearLayer(
            IsInt8 ? Int8Weight($"{path}.weight", shape) : Weight($"{path}.weight", shape), IsGpt2 ? Weight($"{path}.bias", outWidth) : null, storedInOut: IsGpt2, adapter);
        if (adapter is not null)
        {
            _adapted.Add(layer);
        }

        return layer;
    }

    /// <summary>A norm at a canonical path: LayerNorm for GPT-2, RMSNorm for Llama.</summary>
    internal Norm Norm(string path) => new(
        Weight($"{path}.weight", folder.Config.Width), IsGpt2 ? Weight($"{path}.bias", folder.Config.Width) : null, folder.Config.NormEpsilon);

    /// <summary>A weight, frozen or trainable.</summary>
    internal LayerWeight Weight(string name, params long[] shape)
    {
        var value = folder.Load(name, type, shape).DetachFromDisposeScope();
        return TrainAllWeights ? new LayerWeight(Store!.Add(name, value)) : new LayerWeight(value);
    }

    // To check numbers, the matrix is what int8 stands for, in the wider type.
    private LayerWeight Int8Weight(string name, long[] shape) => type == ScalarType.Float32
        ? new LayerWeight(folder.LoadInt8(name, shape))
        : new LayerWeight(folder.LoadAsFrozen(name, type, shape).DetachFromDisposeScope());

    private Adapter? Adapter(string path, int inWidth, int outWidth)
    {
        if (Store is null || Lora is null || !Lora.Adapts(path))
        {
            return null;
        }

        var name = $"{path}.lora_A.weight";
        var a = Store.Add(name, Operations.Adapter.InitialA(Seed, name, Lora.Rank, inWidth, type));
        var b = Store.Add($"{path}.lora_B.weight", zeros([outWidth, Lora.Rank], type));
        return new Adapter(a, b, Lora.Scale);
    }
}
