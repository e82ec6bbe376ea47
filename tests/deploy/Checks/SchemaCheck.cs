using System.Text.Json;
using Json.Schema;
using SplitFrozen.Deploy.Tests.Rendering;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>Every object follows the JSON schema of its kind: what a cluster requires, the words that it knows, and for custom ones every field.</summary>
internal static class SchemaCheck
{
    private static readonly Lazy<JsonSchema> s_schema = new(() => JsonSchema.FromText(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Schemas", "manifests.schema.json"))));

    public static IEnumerable<string> Faults(Manifests manifests)
    {
        foreach (var document in manifests.Documents)
        {
            using var json = JsonDocument.Parse(document.ToJsonString());
            var result = s_schema.Value.Evaluate(json.RootElement, new EvaluationOptions { OutputFormat = OutputFormat.List });
            foreach (var detail in result.IsValid ? [] : (result.Details ?? []).Where(detail => detail.Errors is not null))
            {
                foreach (var error in detail.Errors!.Values)
                {
                    yield return $"{document["kind"]} {document["metadata"]?["name"]}{detail.InstanceLocation}: {error}";
                }
            }
        }
    }
}
