using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.TestServers;

namespace SplitFrozen.Processes.Tests;

/// <summary>What a device worker's process has resident at most while it serves GPT-2 small, 12 blocks of width 768, at cut 4.</summary>
public sealed class DeviceMemoryTests
{
    private const int Width = 768;
    private const int Blocks = 12;
    private const int Cut = 4;

    [Theory]
    [InlineData("f32", 380)]
    [InlineData("int8", 310)]
    public async Task DeviceWorker_OfGpt2Small_StaysWithinItsMemory(string weights, int megabytes)
    {
        var cancellationToken = TestContext.Current.CancellationToken;
        var folder = Directory.CreateTempSubdirectory("splitfrozen-gpt2-").FullName;
        try
        {
            WriteModel(folder);
            var cluster = await Cluster.StartAsync(new ClusterOptions { Devices = 1, AppendFsync = null }, cancellationToken);
            await using (cluster)
            {
                Assert.SkipUnless(cluster.SkipReason is null, cluster.SkipReason ?? "");
                var run = await cluster.SubmitAsync(Spec(folder, weights), cancellationToken);
                var ended = await cluster.EndAsync(run, cancellationToken);
                Assert.True(ended.Summary.Status == RunStatus.Finished, $"{ended.Summary}\n{cluster.Logs()}");

                var peak = cluster.Devices[0].PeakMemory / 1e6;
                Assert.True(peak <= megabytes, $"{weights}: {peak:F0} MB, at most {megabytes} MB are allowed");
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static RunSpec Spec(string model, string weights) => new()
    {
        Name = "device-memory",
        Model = new ModelSpec { Path = model, Boundary = Cut },
        Lora = new LoraSpec { Targets = ["c_attn"] },
        Task = new TaskSpec
        {
            Kind = "classification", Train = Path.Combine(Programs.Root, "samples", "demo", "train.csv"), Evaluation = Path.Combine(Programs.Root, "samples", "demo", "held_out.csv"),
            TextColumns = ["text"], TargetColumn = "label", TrainLimit = 32, EvaluationLimit = 96,
        },
        Device = new DeviceSpec { Weights = weights },
        Training = new TrainingSpec { BatchSize = 32, MicroBatch = 16 },
    };

    // All weights are zero: nothing of the file but its header takes space on the disk, and reading it costs what any weights cost.
    private static void WriteModel(string folder)
    {
        foreach (var file in new[] { "vocab.json", "merges.txt", "tokenizer_config.json" })
        {
            File.Copy(Path.Combine(Programs.Root, "samples", "base-model", file), Path.Combine(folder, file));
        }

        var config = JsonSerializer.Serialize(new
        {
            model_type = "gpt2", activation_function = "gelu_new", n_layer = Blocks, n_embd = Width, n_head = 12, n_inner = 4 * Width, n_positions = 1024, n_ctx = 1024,
            layer_norm_epsilon = 1e-5, tie_word_embeddings = true, vocab_size = 50257, eos_token_id = 50256, bos_token_id = 50256,
        });
        File.WriteAllText(Path.Combine(folder, "config.json"), config);
        var end = 0L;
        var entries = Tensors().ToDictionary(tensor => tensor.Name, tensor => new
        {
            dtype = "F32", shape = tensor.Shape, data_offsets = new[] { end, end += tensor.Shape.Aggregate((long)sizeof(float), (product, extent) => product * extent) },
        });
        var text = JsonSerializer.Serialize(entries);
        var header = Encoding.UTF8.GetBytes(text.PadRight((text.Length + 7) / 8 * 8));
        using var stream = File.Create(Path.Combine(folder, "model.safetensors"));
        Span<byte> length = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
        stream.Write(length);
        stream.Write(header);
        stream.SetLength(stream.Length + end);
    }

    private static IEnumerable<(string Name, int[] Shape)> Tensors()
    {
        yield return ("wte.weight", [50257, Width]);
        yield return ("wpe.weight", [1024, Width]);
        for (var block = 0; block < Blocks; block++)
        {
            foreach (var (layer, inputs, outputs) in new[] { ("attn.c_attn", Width, 3 * Width), ("attn.c_proj", Width, Width), ("mlp.c_fc", Width, 4 * Width), ("mlp.c_proj", 4 * Width, Width) })
            {
                yield return ($"h.{block}.{layer}.weight", [inputs, outputs]);
                yield return ($"h.{block}.{layer}.bias", [outputs]);
            }

            foreach (var part in new[] { "ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias" })
            {
                yield return ($"h.{block}.{part}", [Width]);
            }
        }

        yield return ("ln_f.weight", [Width]);
        yield return ("ln_f.bias", [Width]);
    }
}
