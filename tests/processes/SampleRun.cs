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
    private static readonly Dictionary<string, byte[]> References = [];

    private static string SamplesFolder => Path.Combine(Programs.Root, "samples");

    /// <summary>Writes the spec into a folder.</summary>
    public static string Write(string folder, string order = "planned") => 
        Write(folder, order, $"train: {SamplesFolder}/demo/train.csv\n  train_limit: {Samples}", "{ count: 8, partition: classes, classes_per_client: 1 }");

    /// <summary>Writes the spec of a run whose clients are three devices with <see cref="OwnFiles"/>.</summary>
    public static string WriteForDevices(string folder, string missing) =>
        Write(folder, "planned", "classes: [negative, positive]", $"{{ count: 3, partition: devices, missing: {missing} }}");

    /// <summary>Writes the same rows as files of one class each: one with the negative rows, two with the positive ones.</summary>
    public static string[] OwnFiles(string folder)
    {
        var lines = File.ReadAllLines(Path.Combine(SamplesFolder, "demo", "train.csv"));
        var byClass = lines.Skip(1).Take(Samples).ToLookup(line => line.EndsWith(",positive", StringComparison.Ordinal));
        return [.. new[] { byClass[false], byClass[true].Take(60), byClass[true].Skip(60) }.Select((rows, n) =>
        {
            var file = Path.Combine(folder, $"own-{n + 1}.csv");
            File.WriteAllLines(file, [lines[0], .. rows]);
            return file;
        })];
    }

    private static string Write(string folder, string order, string training, string clients)
    {
        var samples = SamplesFolder;
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
              {training}
              evaluation: {samples}/demo/held_out.csv
              text_columns: [text]
              target_column: label
              evaluation_limit: 40
            clients: {clients}
            device:
              micro_batch: 1
              message_bytes: 32768
            training:
              epochs: {Epochs}
              batch_size: 16
              micro_batch: 4
              order: {order}
              checkpoint_every_steps: 1
            """);
        return file;
    }

    /// <summary>The adapter that <c>splitfrozen run</c> makes in one process.</summary>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="change">A value of the spec to set, or nothing.</param>
    public static async Task<byte[]> ReferenceAsync(CancellationToken cancellationToken, string change = "name=processes")
    {
        await Gate.WaitAsync(cancellationToken);
        try
        {
            if (!References.TryGetValue(change, out var reference))
            {
                var folder = Directory.CreateTempSubdirectory("splitfrozen-reference-");
                var (code, _, error) = await Programs.CommandAsync(
                    new Dictionary<string, string>(), cancellationToken,
                    "run", Write(folder.FullName), "--out", Path.Combine(folder.FullName, "run"), "--set", $"cache.directory={folder.FullName}/cache", "--set", change, "--json");
                Assert.True(code == 0, error);
                References[change] = reference = await File.ReadAllBytesAsync(Path.Combine(folder.FullName, "run", "adapter", "adapter_model.safetensors"), cancellationToken);
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
    public static void AssertExactlyOnce(string[] stepLog, int epochs = Epochs) =>
        Assert.All(Trained(stepLog, epochs), samples => Assert.Equal(Enumerable.Range(0, Samples).Select(row => (long)row), samples));

    /// <summary>The samples that each epoch trained on by the trainer's own log, in order; asserts that the steps have no gap.</summary>
    public static long[][] Trained(string[] stepLog, int epochs = Epochs)
    {
        var steps = stepLog.Select(line =>
        {
            using var json = JsonDocument.Parse(line);
            return (
                Sequence: json.RootElement.GetProperty("sequence").GetInt64(),
                Epoch: json.RootElement.GetProperty("epoch").GetInt32(),
                Samples: json.RootElement.GetProperty("samples").EnumerateArray().Select(sample => sample.GetInt64()).ToArray());
        }).ToArray();
        Assert.Equal(epochs * Samples / 16, steps.Length);
        Assert.Equal(steps.Select(step => step.Sequence).Order().Distinct(), steps.Select(step => step.Sequence));
        return [.. Enumerable.Range(0, epochs).Select(epoch => steps.Where(step => step.Epoch == epoch).SelectMany(step => step.Samples).Order().ToArray())];
    }
}
