using System.Text.Json;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>A short run of the shipped model and data over eight clients of one class each, and what one process makes of it.</summary>
internal static class SampleRun
{
    public const int Epochs = 3;
    public const int Samples = 240;
    public const int Steps = Epochs * Samples / 16;

    private static readonly SemaphoreSlim Gate = new(1, 1);
    private static byte[]? reference;

    /// <summary>Writes the spec into a folder.</summary>
    public static string Write(string folder, string order = "planned")
    {
        var samples = Path.Combine(Programs.Root, "samples");
        var file = Path.Combine(folder, $"{order}.yaml");
        File.WriteAllText(file, $"""
            name: processes
            seed: 5
            model:
              path: {samples}/base-model
              boundary: 2
            lora:
              rank: 4
              alpha: 8
              dropout: 0.1
              targets: [c_attn, c_fc]
            task:
              kind: classification
              train: {samples}/demo/train.csv
              evaluation: {samples}/demo/held_out.csv
              text_columns: [text]
              target_column: label
              train_limit: {Samples}
              evaluation_limit: 40
            clients:
              count: 8
              partition: classes
              classes_per_client: 1
            device:
              micro_batch: 1
              message_bytes: 32768
            training:
              epochs: {Epochs}
              batch_size: 16
              order: {order}
              checkpoint_every_steps: 1
            """);
        return file;
    }

    /// <summary>The adapter that <c>splitfrozen run</c> makes in one process.</summary>
    public static async Task<byte[]> ReferenceAsync(CancellationToken cancellationToken)
    {
        await Gate.WaitAsync(cancellationToken);
        try
        {
            if (reference is null)
            {
                var folder = Directory.CreateTempSubdirectory("splitfrozen-reference-");
                var (code, _, error) = await Programs.CommandAsync(
                    new Dictionary<string, string>(), cancellationToken,
                    "run", Write(folder.FullName), "--out", Path.Combine(folder.FullName, "run"), "--set", $"cache.directory={folder.FullName}/cache", "--json");
                Assert.True(code == 0, error);
                reference = await File.ReadAllBytesAsync(Path.Combine(folder.FullName, "run", "adapter", "adapter_model.safetensors"), cancellationToken);
                folder.Delete(recursive: true);
            }

            return reference;
        }
        finally
        {
            Gate.Release();
        }
    }

    /// <summary>Asserts that the trainer's own log has every sample in exactly one step of every epoch, and the steps without a gap.</summary>
    public static void AssertExactlyOnce(string[] stepLog)
    {
        var steps = stepLog.Select(line =>
        {
            using var json = JsonDocument.Parse(line);
            return (
                Sequence: json.RootElement.GetProperty("sequence").GetInt64(),
                Epoch: json.RootElement.GetProperty("epoch").GetInt32(),
                Samples: json.RootElement.GetProperty("samples").EnumerateArray().Select(sample => sample.GetInt64()).ToArray());
        }).ToArray();
        Assert.Equal(Steps, steps.Length);
        Assert.Equal(steps.Select(step => step.Sequence).Order().Distinct(), steps.Select(step => step.Sequence));
        for (var epoch = 0; epoch < Epochs; epoch++)
        {
            Assert.Equal(Enumerable.Range(0, Samples).Select(row => (long)row), steps.Where(step => step.Epoch == epoch).SelectMany(step => step.Samples).Order());
        }
    }
}
