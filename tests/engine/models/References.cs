using SplitFrozen.Models;
using static TorchSharp.torch;

namespace SplitFrozen.Tests.Engine.Models;

/// <summary>The stored references of an independent PyTorch implementation; see <c>references/make_references.py</c>.</summary>
internal static class References
{
    private static readonly string[] _allGpt2 = ["c_attn", "c_proj", "c_fc"];
    private static readonly string[] _allLlama = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "references");

    /// <summary>Model, case and adapter folder of every stored case.</summary>
    public static TheoryData<string, string, string> Cases => new()
    {
        { "gpt2", "classification", "adapter_all" },
        { "gpt2", "language_model", "adapter_all" },
        { "gpt2", "rank_stabilized", "adapter_c_attn" },
        { "llama", "classification", "adapter_all" },
        { "llama", "language_model", "adapter_all" },
        { "llama", "rank_stabilized", "adapter_q_proj" },
        { "llama_tied", "language_model", "adapter_v_down" },
    };

    public static ModelFolder Model(string model) => ModelFolder.Open(Path.Combine(Folder, model, "model"));

    public static StoredTensors Case(string model, string name) => StoredTensors.Read(Path.Combine(Folder, model, $"{name}.safetensors"));

    /// <summary>The upper model of a case, its adapter set to the stored values.</summary>
    public static UpperModel Open(ModelFolder folder, StoredTensors stored, string model, string adapter, ScalarType type)
    {
        var classes = int.Parse(stored.Metadata["classes"]);
        string[] targets = adapter switch
        {
            "adapter_all" => model == "gpt2" ? _allGpt2 : _allLlama,
            "adapter_v_down" => ["v_proj", "down_proj"],
            _ => [adapter["adapter_".Length..]],
        };
        var upper = UpperModel.Open(folder, new UpperModelOptions
        {
            LowestCut = 0,
            Boundary = int.Parse(stored.Metadata["boundary"]),
            Head = classes > 0 ? HeadKind.Classification : HeadKind.LanguageModel,
            Classes = classes,
            Lora = new LoraConfig(4, 8, 0, targets, RankStabilized: adapter is "adapter_c_attn" or "adapter_q_proj"),
            Compute = type,
        });
        using var values = StoredTensors.Read(Path.Combine(Folder, model, adapter, "adapter_model.safetensors"));
        foreach (var parameter in upper.Parameters)
        {
            var prefix = parameter.Name == "score.weight" ? "" : model == "gpt2" ? "transformer." : "model.";
            parameter.Value.copy_(values[$"base_model.model.{prefix}{parameter.Name}"]);
        }

        return upper;
    }
}
