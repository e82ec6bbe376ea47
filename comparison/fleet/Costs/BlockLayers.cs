using SplitFrozen.Models;

namespace SplitFrozen.Comparison.Fleet.Costs;

/// <summary>One linear layer of a block.</summary>
/// <param name="Path">Canonical path, for example <c>h.0.attn.c_attn</c>.</param>
/// <param name="Inputs">Width of its input.</param>
/// <param name="Outputs">Width of its output.</param>
/// <param name="Depth">Place in the block, counted from the output: layers of equal depth read the same rows.</param>
/// <param name="Adapted">Whether it has an adapter.</param>
internal readonly record struct BlockLayer(string Path, long Inputs, long Outputs, int Depth, bool Adapted)
{
    /// <summary>Depth of the projection that follows the attention.</summary>
    internal const int AttentionOutput = 2;

    /// <summary>Depth of the layers whose results the attention reads.</summary>
    internal const int AttentionInput = 3;

    internal long Weights => Inputs * Outputs;
}

/// <summary>The linear layers of a block, read off the shapes of the model's weights.</summary>
internal static class BlockLayers
{
    private static readonly Dictionary<string, int> s_depths = new(StringComparer.Ordinal)
    {
        ["mlp.c_proj"] = 0, ["mlp.c_fc"] = 1, ["attn.c_proj"] = BlockLayer.AttentionOutput, ["attn.c_attn"] = BlockLayer.AttentionInput,
        ["mlp.down_proj"] = 0, ["mlp.up_proj"] = 1, ["mlp.gate_proj"] = 1, ["self_attn.o_proj"] = BlockLayer.AttentionOutput,
        ["self_attn.q_proj"] = BlockLayer.AttentionInput, ["self_attn.k_proj"] = BlockLayer.AttentionInput, ["self_attn.v_proj"] = BlockLayer.AttentionInput,
    };

    /// <summary>The layers of one block.</summary>
    internal static BlockLayer[] Of(TransformerConfig config, LoraConfig? lora, int block)
    {
        const string Suffix = ".weight";
        var isGpt2 = config.Family == ModelFamily.Gpt2;
        var prefix = isGpt2 ? $"h.{block}." : $"layers.{block}.";
        return
        [
            .. ModelInitialization.Shapes(config)
                .Where(weight => weight.Shape.Length == 2 && weight.Name.StartsWith(prefix, StringComparison.Ordinal))
                .Select(weight =>
                {
                    var path = weight.Name[..^Suffix.Length];
                    var (inputs, outputs) = isGpt2 ? (weight.Shape[0], weight.Shape[1]) : (weight.Shape[1], weight.Shape[0]);
                    return new BlockLayer(path, inputs, outputs, s_depths[path[prefix.Length..]], lora?.Adapts(path) ?? false);
                }),
        ];
    }
}
