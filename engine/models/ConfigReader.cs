using System.Text.Json;

namespace SplitFrozen.Models;

/// <summary>Reads and checks <c>config.json</c>. Every fault names the field, what it held, and what is allowed.</summary>
internal sealed class ConfigReader
{
    private const int SizeMaximum = 1 << 24;

    private readonly string _file;
    private readonly JsonElement _root;

    private ConfigReader(string file, JsonElement root)
    {
        _file = file;
        _root = root;
    }

    internal static TransformerConfig Read(string file)
    {
        if (!File.Exists(file))
        {
            throw new ModelFormatException(file, "file", "is missing. A model folder holds config.json, model.safetensors and the tokenizer's files.");
        }

        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new ModelFormatException(file, "file", "must hold one JSON object.");
            }

            return new ConfigReader(file, document.RootElement).ReadFamily();
        }
        catch (JsonException exception)
        {
            throw new ModelFormatException(file, "file", $"is not JSON: {exception.Message}");
        }
    }

    private TransformerConfig ReadFamily()
    {
        var family = Find("model_type") is { ValueKind: JsonValueKind.String } type ? type.GetString() : null;
        return family switch
        {
            "gpt2" => ReadGpt2(),
            "llama" => ReadLlama(),
            _ => throw Fault("model_type", $"is {family ?? "missing"}; supported are \"gpt2\" and \"llama\"."),
        };
    }

    private TransformerConfig ReadGpt2()
    {
        Require("activation_function", "gelu_new", "gelu_new");
        Require("scale_attn_weights", expected: true, ifMissing: true);
        Require("scale_attn_by_inverse_layer_idx", expected: false, ifMissing: false);
        var width = Size("n_embd");
        var heads = Size("n_head");
        return Check(
            new TransformerConfig
            {
                Family = ModelFamily.Gpt2,
                Layers = Size("n_layer"),
                Width = width,
                Heads = heads,
                KeyValueHeads = heads,
                HeadWidth = Divide("n_embd", width, "n_head", heads),
                InnerWidth = Size("n_inner", checked(4 * width)),
                VocabularySize = Size("vocab_size"),
                MaximumPositions = Size("n_positions"),
                NormEpsilon = Number("layer_norm_epsilon", 1e-5),
                TieWordEmbeddings = Flag("tie_word_embeddings", ifMissing: true),
                EndOfTextId = TokenId("eos_token_id"),
                BeginOfTextId = TokenId("bos_token_id"),
            });
    }

    private TransformerConfig ReadLlama()
    {
        Require("hidden_act", "silu", "silu");
        Require("attention_bias", expected: false, ifMissing: false);
        Require("mlp_bias", expected: false, ifMissing: false);
        var width = Size("hidden_size");
        var heads = Size("num_attention_heads");
        var keyValueHeads = Size("num_key_value_heads", heads);
        _ = Divide("num_attention_heads", heads, "num_key_value_heads", keyValueHeads);
        return Check(
            new TransformerConfig
            {
                Family = ModelFamily.Llama,
                Layers = Size("num_hidden_layers"),
                Width = width,
                Heads = heads,
                KeyValueHeads = keyValueHeads,
                HeadWidth = Find("head_dim") is null ? Divide("hidden_size", width, "num_attention_heads", heads) : Size("head_dim"),
                InnerWidth = Size("intermediate_size"),
                VocabularySize = Size("vocab_size"),
                MaximumPositions = Size("max_position_embeddings"),
                NormEpsilon = Number("rms_norm_eps", 1e-6),
                TieWordEmbeddings = Flag("tie_word_embeddings", ifMissing: false),
                Rope = ReadRope(),
                EndOfTextId = TokenId("eos_token_id"),
                BeginOfTextId = TokenId("bos_token_id"),
            });
    }

    private RopeConfig ReadRope()
    {
        // Newer files keep everything under rope_parameters, older ones have rope_theta and rope_scaling.
        var section = Find("rope_parameters") is not null ? "rope_parameters" : "rope_scaling";
        var theta = Find("rope_theta") is not null ? Number("rope_theta", 0) : Number($"{section}.rope_theta", 10000);
        if (theta <= 1)
        {
            throw Fault("rope_theta", $"is {theta}; it must be above 1.");
        }

        if (Find(section) is not { } parameters)
        {
            return new RopeConfig(theta, null);
        }

        if (parameters.ValueKind != JsonValueKind.Object)
        {
            throw Fault(section, "must be an object.");
        }

        var kind = (Find($"{section}.rope_type") ?? Find($"{section}.type"))?.ToString() ?? "default";
        return kind switch
        {
            "default" => new RopeConfig(theta, null),
            "llama3" => new RopeConfig(theta, ReadScaling(section)),
            _ => throw Fault($"{section}.rope_type", $"is \"{kind}\"; supported are \"default\" and \"llama3\"."),
        };
    }

    private RopeScaling ReadScaling(string section)
    {
        var scaling = new RopeScaling(
            Number($"{section}.factor"),
            Number($"{section}.low_freq_factor"),
            Number($"{section}.high_freq_factor"),
            Size($"{section}.original_max_position_embeddings"));
        if (scaling.Factor < 1 || scaling.LowFrequencyFactor <= 0 || scaling.HighFrequencyFactor <= scaling.LowFrequencyFactor)
        {
            throw Fault(section, "needs factor >= 1 and 0 < low_freq_factor < high_freq_factor.");
        }

        return scaling;
    }

    private TransformerConfig Check(TransformerConfig config)
    {
        if (config.NormEpsilon is <= 0 or >= 1)
        {
            throw Fault(config.Family == ModelFamily.Gpt2 ? "layer_norm_epsilon" : "rms_norm_eps", $"is {config.NormEpsilon}; it must lie between 0 and 1.");
        }

        if (config.Family == ModelFamily.Llama && config.HeadWidth % 2 != 0)
        {
            throw Fault("head_dim", $"is {config.HeadWidth}; rotary positions need an even width.");
        }

        foreach (var (field, id) in new[] { ("eos_token_id", config.EndOfTextId), ("bos_token_id", config.BeginOfTextId) })
        {
            if (id < 0 || id >= config.VocabularySize)
            {
                throw Fault(field, $"is {id}, outside the vocabulary of {config.VocabularySize}.");
            }
        }

        return config;
    }

    private JsonElement? Find(string path)
    {
        var element = _root;
        foreach (var name in path.Split('.'))
        {
            if (element.ValueKind != JsonValueKind.Object || !element.TryGetProperty(name, out element))
            {
                return null;
            }
        }

        return element.ValueKind == JsonValueKind.Null ? null : element;
    }

    private int Size(string field, int? ifMissing = null)
    {
        if (Find(field) is not { } element)
        {
            return ifMissing ?? throw Fault(field, "is missing; it must be a positive integer.");
        }

        return element.ValueKind == JsonValueKind.Number && element.TryGetInt32(out var value) && value is > 0 and <= SizeMaximum
            ? value
            : throw Fault(field, $"is {element.GetRawText()}; it must be an integer from 1 to {SizeMaximum}.");
    }

    private double Number(string field, double? ifMissing = null)
    {
        if (Find(field) is not { } element)
        {
            return ifMissing ?? throw Fault(field, "is missing; it must be a number.");
        }

        return element.ValueKind == JsonValueKind.Number && element.TryGetDouble(out var value) && double.IsFinite(value)
            ? value
            : throw Fault(field, $"is {element.GetRawText()}; it must be a number.");
    }

    private bool Flag(string field, bool ifMissing) => Find(field)?.ValueKind switch
    {
        null => ifMissing,
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Fault(field, "must be true or false."),
    };

    private int? TokenId(string field)
    {
        if (Find(field) is not { } element)
        {
            return null;
        }

        var first = element.ValueKind == JsonValueKind.Array && element.GetArrayLength() > 0 ? element[0] : element;
        return first.ValueKind == JsonValueKind.Number && first.TryGetInt32(out var id)
            ? id
            : throw Fault(field, "must be a token id or a list of them.");
    }

    private int Divide(string field, int whole, string byField, int parts) => whole % parts == 0
        ? whole / parts
        : throw Fault(field, $"is {whole}, which {byField} = {parts} does not divide.");

    private void Require(string field, string expected, string ifMissing)
    {
        var value = Find(field)?.ToString() ?? ifMissing;
        if (value != expected)
        {
            throw Fault(field, $"is \"{value}\"; only \"{expected}\" is supported.");
        }
    }

    private void Require(string field, bool expected, bool ifMissing)
    {
        if (Flag(field, ifMissing) != expected)
        {
            throw Fault(field, $"is {!expected}; only {expected} is supported.");
        }
    }

    private ModelFormatException Fault(string field, string fault) => new(_file, field, fault);
}
