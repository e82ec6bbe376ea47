using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.DeviceWorker.Hosting;

/// <summary>Model and data of a run on a device that plays simulated clients. Owns the model folder.</summary>
internal sealed class OpenedData : IDisposable
{
    private readonly LoadedTask _data;
    private readonly int[][] _partition;

    private OpenedData(ModelFolder model, LoadedTask data, int[][] partition) => (Model, _data, _partition) = (model, data, partition);

    public ModelFolder Model { get; }

    /// <summary>Opens what the spec names and deals the rows by its seed.</summary>
    public static OpenedData Open(RunSpec spec)
    {
        var model = ModelFolder.Open(spec.Model.Path);
        try
        {
            var tokenizer = TokenizerFolder.Open(spec.Model.Path);
            var data = TaskData.Load(spec.Task, Environment.CurrentDirectory, tokenizer, model.Config.MaximumPositions);
            return new OpenedData(model, data, Partitioner.Partition(data.Train, spec.Clients, unchecked((ulong)spec.Seed)));
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>A client with its rows.</summary>
    /// <exception cref="ArgumentException">The run has no such client.</exception>
    public DeviceClient Client(ClientShare share, DeviceProfile profile)
    {
        if (share.ClientId == ClientNames.Evaluation)
        {
            return new DeviceClient(share.ClientId, share.Cut, _data.Evaluation, profile);
        }

        return ClientNames.IndexOf(share.ClientId) is { } index && index < _partition.Length
            ? new DeviceClient(share.ClientId, share.Cut, [.. _partition[index].Select(row => _data.Train[row])], profile)
            : throw new ArgumentException(
                $"The run has no client '{share.ClientId}'; it has '{ClientNames.Evaluation}' and '{ClientNames.Of(0)}' to '{ClientNames.Of(_partition.Length - 1)}'.", nameof(share));
    }

    public void Dispose() => Model.Dispose();
}
