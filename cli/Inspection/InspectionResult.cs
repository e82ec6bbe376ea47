using System.Text.Json.Serialization;

namespace SplitFrozen.Cli.Inspection;

/// <summary>What <c>inspect</c> shows, as a table or as JSON.</summary>
/// <param name="Path">What was looked at.</param>
/// <param name="Kind"><c>adapter</c>, <c>model</c>, <c>run</c>, <c>checkpoint</c>, <c>activation batch</c> or <c>safetensors</c>.</param>
/// <param name="Facts">Findings by name, in order.</param>
/// <param name="Tensors">The tensors.</param>
internal sealed record InspectionResult(string Path, string Kind, OrderedDictionary<string, string> Facts, IReadOnlyList<InspectedTensor> Tensors);

/// <summary>One tensor as its file declares it.</summary>
internal sealed record InspectedTensor(string Name, string Type, long[] Shape, long Bytes);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(InspectionResult))]
internal sealed partial class InspectionJson : JsonSerializerContext;
