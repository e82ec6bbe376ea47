using System.Runtime.InteropServices;
using System.Text.Json;
using SplitFrozen.Contracts.Safetensors;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>Reads checkpoint and step log without the code that wrote them.</summary>
internal static class CheckpointValues
{
    /// <summary>Trained values by name.</summary>
    public static SortedDictionary<string, float[]> Read(byte[] checkpoint)
    {
        Assert.True(SafetensorsHeader.TryParse(checkpoint, checkpoint.Length, out var header, out var error), error);
        var values = new SortedDictionary<string, float[]>(StringComparer.Ordinal);
        foreach (var entry in header.Entries.Values.Where(entry => entry.Name.StartsWith("value.", StringComparison.Ordinal)))
        {
            values.Add(entry.Name, MemoryMarshal.Cast<byte, float>(checkpoint.AsSpan((int)(header.DataStart + entry.Begin), (int)entry.ByteLength)).ToArray());
        }

        Assert.NotEmpty(values);
        return values;
    }

    /// <summary>Sequence, epoch and sample ids of every line of a run's <c>steps.jsonl</c>.</summary>
    public static List<(long Sequence, int Epoch, long[] Samples)> StepLog(string folder) =>
    [
        .. File.ReadLines(Path.Combine(folder, "steps.jsonl")).Select(line =>
        {
            using var json = JsonDocument.Parse(line);
            var root = json.RootElement;
            return (
                root.GetProperty("sequence").GetInt64(),
                root.GetProperty("epoch").GetInt32(),
                root.GetProperty("samples").EnumerateArray().Select(id => id.GetInt64()).ToArray());
        }),
    ];
}
