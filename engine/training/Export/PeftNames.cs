using SplitFrozen.Models;

namespace SplitFrozen.Training.Export;

/// <summary>File and key names of PEFT adapters.</summary>
internal static class PeftNames
{
    public const string ConfigFile = "adapter_config.json";
    public const string WeightsFile = "adapter_model.safetensors";
    public const string BaseFingerprint = "splitfrozen_base_fingerprint";
    public const string FrozenWeights = "splitfrozen_frozen_weights";
    public const string ClassNames = "splitfrozen_class_names";
    private const string Wrapper = "base_model.model.";

    /// <summary>PEFT's key of a parameter: <c>base_model.model.</c>, the family's prefix, and the parameter's path.</summary>
    public static string Key(ModelFamily family, string parameter) => Wrapper + ModelInitialization.InFile(family, parameter);

    /// <summary>The name of the list of blocks in module paths.</summary>
    public static string LayersPattern(ModelFamily family) => family == ModelFamily.Gpt2 ? "h" : "layers";
}
