using System.Text.Json.Serialization;

namespace SplitFrozen.Comparison.Study;

/// <summary>Files of a study as JSON.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(CellIdentity))]
[JsonSerializable(typeof(CellResult))]
[JsonSerializable(typeof(StudySummary))]
internal sealed partial class StudyJson : JsonSerializerContext;
