using SplitFrozen.Models;

namespace SplitFrozen.Comparison.Fleet.Costs;

/// <summary>What a device holds at its peak, in bytes, all of it f32.</summary>
/// <param name="Weights">Frozen weights of its blocks, the embedding tables, and the adapters.</param>
/// <param name="Activations">Kept for the backward pass, or, without one, alive inside one block.</param>
/// <param name="Gradients">Of adapters and head.</param>
/// <param name="Moments">AdamW's two, of adapters and head.</param>
public readonly record struct DeviceMemory(long Weights, long Activations, long Gradients, long Moments)
{
    /// <summary>All.</summary>
    public long Total => Weights + Activations + Gradients + Moments;
}

/// <summary>
/// Peak memory of a device by formula. Counted per token: what the engine's blocks save for B and W (inputs of norms and of adapted layers, q, k,
/// v and the attention's result, the feed-forward's inner rows, the adapters' low-rank rows), or, frozen, the rows alive at the end of one block.
/// Left out: code, runtime and allocator, index tables, logits.
/// </summary>
internal sealed class DeviceMemoryModel(Workload workload, TransferSizes sizes)
{
    private readonly TransformerConfig _config = workload.Model;

    /// <summary>A device that runs <c>[0, cut)</c> frozen and keeps nothing.</summary>
    internal DeviceMemory Frozen(int client, int cut)
    {
        var tokens = LargestBatch(client, workload.DeviceMicroBatch);
        return new DeviceMemory(Weights(cut), sizeof(float) * tokens * (cut == 0 ? _config.Width : LiveRow), 0, 0);
    }

    /// <summary>A device that trains the adapters of <c>[0, to)</c> on whole batches; with the head if that is the whole model.</summary>
    internal DeviceMemory Trained(int client, int to)
    {
        var parameters = sizeof(float) * sizes.TrainableParameters(0, to);
        var tokens = LargestBatch(client, workload.BatchSize);
        var kept = Enumerable.Range(0, to).Sum(KeptRow) + LiveRow;
        return new DeviceMemory(Weights(to) + parameters, sizeof(float) * tokens * kept, parameters, 2 * parameters);
    }

    private long Queries => (long)_config.Heads * _config.HeadWidth;

    private long QueryKeyValue => Queries + (2L * _config.KeyValueHeads * _config.HeadWidth);

    private long InnerRows => (_config.Family == ModelFamily.Gpt2 ? 1L : 2L) * _config.InnerWidth;

    // Input, two norms, the sum behind the attention, the result; q, k, v; attended rows and their sums; inner rows and their activation.
    private long LiveRow => (5L * _config.Width) + QueryKeyValue + Queries + _config.Heads + InnerRows + _config.InnerWidth;

    private long Weights(int blocks)
    {
        var embeddings = (long)_config.Width * (_config.VocabularySize + (_config.Family == ModelFamily.Gpt2 ? _config.MaximumPositions : 0));
        var total = embeddings + (blocks * (ModelFlops.LinearWeights(_config) + SmallWeights));
        return sizeof(float) * (blocks == _config.Layers && !_config.TieWordEmbeddings && workload.Head == HeadKind.LanguageModel
            ? total + ((long)_config.Width * _config.VocabularySize)
            : total);
    }

    // Norms, and for GPT-2 biases.
    private long SmallWeights => _config.Family == ModelFamily.Gpt2
        ? (4L * _config.Width) + (3L * _config.Width) + (2L * _config.Width) + _config.InnerWidth
        : 2L * _config.Width;

    private long KeptRow(int block)
    {
        var layers = BlockLayers.Of(_config, workload.Lora, block);
        var always = (2L * _config.Width) + QueryKeyValue + Queries + _config.Heads + InnerRows;
        var inputs = layers.Where(layer => layer.Adapted && layer.Depth != BlockLayer.AttentionOutput).GroupBy(layer => layer.Depth).Sum(group => group.First().Inputs);
        return always + inputs + (layers.Count(layer => layer.Adapted) * (long)workload.Lora.Rank);
    }

    private long LargestBatch(int client, int size) =>
        workload.Clients[client].Select(sample => (long)sample.Tokens).OrderDescending().Take(size).Sum();
}
