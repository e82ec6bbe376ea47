using System.Text.Json;
using System.Text.Json.Serialization;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Tests.Engine.Models;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Tests.Parity;

/// <summary>Ten optimiser steps that an independent PyTorch implementation took; see make_references.py, <c>ten_steps</c>.</summary>
internal sealed record StoredSteps
{
    public double LearningRate { get; init; }

    public double Beta1 { get; init; }

    public double Beta2 { get; init; }

    public double Epsilon { get; init; }

    public double WeightDecay { get; init; }

    public double MaximumNorm { get; init; }

    public int Batch { get; init; }

    public int Classes { get; init; }

    public required StoredSample[] Samples { get; init; }

    public required double[] Losses { get; init; }

    public required double[] GradientNorms { get; init; }

    public required Dictionary<string, double> FinalNorms { get; init; }

    private static JsonSerializerOptions Snake { get; } = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>The setting of the run, at a constant rate.</summary>
    [JsonIgnore]
    public TrainingSpec Spec => new()
    {
        BatchSize = Batch,
        LearningRate = LearningRate,
        Schedule = "constant",
        WarmupRatio = 0,
        Beta1 = Beta1,
        Beta2 = Beta2,
        Epsilon = Epsilon,
        WeightDecay = WeightDecay,
        MaxGradientNorm = MaximumNorm,
    };

    public static StoredSteps Read(string model, string name) =>
        JsonSerializer.Deserialize<StoredSteps>(File.ReadAllText(Path.Combine(References.Folder, model, $"ten_steps_{name}.json")), Snake)!;

    /// <summary>The model as it was before the first step.</summary>
    public static UpperModel Open(ModelFolder folder, string model, string name, ScalarType type)
    {
        using var stored = References.Case(model, name);
        return References.Open(folder, stored, model, "adapter_all", type);
    }
}

/// <summary>One sample: its labels are one class, or one id or −100 per token.</summary>
internal sealed record StoredSample(int[] Tokens, JsonElement Labels)
{
    public int[] LabelIds => Labels.ValueKind == JsonValueKind.Number ? [Labels.GetInt32()] : [.. Labels.EnumerateArray().Select(label => label.GetInt32())];
}
