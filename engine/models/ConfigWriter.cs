using System.Text.Json;
using System.Text.Json.Nodes;

namespace SplitFrozen.Models;

/// <summary>Writes <c>config.json</c> with the field names of Hugging Face transformers.</summary>
internal static class ConfigWriter
{
    private static readonly JsonSerializerOptions _indented = new() { WriteIndented = true };

    internal static void Write(TransformerConfig config, string file)
    {
        var fields = config.Family == ModelFamily.Gpt2 ? Gpt2Fields(config) : LlamaFields(config);
        fields["tie_word_embeddings"] = config.TieWordEmbeddings;
        fields["vocab_size"] = config.VocabularySize;
        if (config.EndOfTextId is { } end)
        {
            fields["eos_token_id"] = end;
        }

        if (config.BeginOfTextId is { } begin)
        {
            fields["bos_token_id"] = begin;
        }

        File.WriteAllText(file, fields.ToJsonString(_indented) + "\n");
    }

    private static JsonObject Gpt2Fields(TransformerConfig config) => new()
    {
        ["architectures"] = new JsonArray("GPT2LMHeadModel"),
        ["model_type"] = "gpt2",
        ["activation_function"] = "gelu_new",
        ["n_layer"] = config.Layers,
        ["n_embd"] = config.Width,
        ["n_head"] = config.Heads,
        ["n_inner"] = config.InnerWidth,
        ["n_positions"] = config.MaximumPositions,
        ["n_ctx"] = config.MaximumPositions,
        ["layer_norm_epsilon"] = config.NormEpsilon,
    };

    private static JsonObject LlamaFields(TransformerConfig config)
    {
        var fields = new JsonObject
        {
            ["architectures"] = new JsonArray("LlamaForCausalLM"),
            ["model_type"] = "llama",
            ["hidden_act"] = "silu",
            ["num_hidden_layers"] = config.Layers,
            ["hidden_size"] = config.Width,
            ["num_attention_heads"] = config.Heads,
            ["num_key_value_heads"] = config.KeyValueHeads,
            ["head_dim"] = config.HeadWidth,
            ["intermediate_size"] = config.InnerWidth,
            ["max_position_embeddings"] = config.MaximumPositions,
            ["rms_norm_eps"] = config.NormEpsilon,
            ["attention_bias"] = false,
            ["mlp_bias"] = false,
            ["rope_theta"] = config.Rope?.Theta ?? 10000,
        };
        if (config.Rope?.Scaling is { } scaling)
        {
            fields["rope_scaling"] = new JsonObject
            {
                ["rope_type"] = "llama3",
                ["factor"] = scaling.Factor,
                ["low_freq_factor"] = scaling.LowFrequencyFactor,
                ["high_freq_factor"] = scaling.HighFrequencyFactor,
                ["original_max_position_embeddings"] = scaling.OriginalPositions,
            };
        }

        return fields;
    }
}
