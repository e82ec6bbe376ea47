using System.Text.Json;
using System.Text.Json.Serialization;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Messaging;

/// <summary>A sample id as its number, on the data plane and the control plane alike.</summary>
internal sealed class SampleIdConverter : JsonConverter<SampleId>
{
    public override SampleId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => new(reader.GetInt64());

    public override void Write(Utf8JsonWriter writer, SampleId value, JsonSerializerOptions options) => writer.WriteNumberValue(value.Value);
}
