using Microsoft.Extensions.Logging;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.DeviceWorker.Hosting;

/// <summary>Model and data of a run on a device: the spec's files, or a file of the device's own. Owns the model folder.</summary>
internal sealed class OpenedData : IDisposable
{
    private readonly Func<string, IReadOnlyList<EncodedSample>> _samplesOf;

    private OpenedData(ModelFolder model, Func<string, IReadOnlyList<EncodedSample>> samplesOf) => (Model, _samplesOf) = (model, samplesOf);

    public ModelFolder Model { get; }

    /// <summary>Opens what the spec names, for simulated clients or for the device's own.</summary>
    public static OpenedData Open(RunSpec spec, DeviceHostOptions device, ILogger logger)
    {
        var model = ModelFolder.Open(spec.Model.Path, spec.Device.WeightKind());
        try
        {
            var tokenizer = TokenizerFolder.Open(spec.Model.Path);
            var positions = model.Config.MaximumPositions;
            return new OpenedData(
                model,
                spec.Clients.Partition == ClientPartitions.Devices ? OfDevices(spec, device, tokenizer, positions, logger) : Simulated(spec, tokenizer, positions));
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>A client with its rows.</summary>
    /// <exception cref="ArgumentException">The run has no such client here.</exception>
    /// <exception cref="DataException">Its file cannot be used.</exception>
    public DeviceClient Client(ClientShare share, DeviceProfile profile) => new(share.ClientId, share.Cut, _samplesOf(share.ClientId), profile);

    public void Dispose() => Model.Dispose();

    /// <summary>The rows of the spec's files, dealt by its seed.</summary>
    private static Func<string, IReadOnlyList<EncodedSample>> Simulated(RunSpec spec, ITextTokenizer tokenizer, int positions)
    {
        var data = TaskData.Load(spec.Task, Environment.CurrentDirectory, tokenizer, positions);
        var partition = Partitioner.Partition(data.Train, spec.Clients, unchecked((ulong)spec.Seed));
        return client => client == ClientNames.Evaluation ? data.Evaluation
            : ClientNames.IndexOf(client) is { } index && index < partition.Length ? [.. partition[index].Select(row => data.Train[row])]
            : throw new ArgumentException(
                $"The run has no client '{client}'; it has '{ClientNames.Evaluation}' and '{ClientNames.Of(0)}' to '{ClientNames.Of(partition.Length - 1)}'.", nameof(spec));
    }

    /// <summary>All rows of this device's own file, or the held-out rows of the spec.</summary>
    private static Func<string, IReadOnlyList<EncodedSample>> OfDevices(
        RunSpec spec, DeviceHostOptions device, ITextTokenizer tokenizer, int positions, ILogger logger) => client =>
    {
        if (client == ClientNames.Evaluation)
        {
            return TaskData.LoadSplit(spec.Task, spec.Task.Evaluation, evaluation: true, tokenizer, positions).Samples;
        }

        if (client != device.Name || device.Data is null)
        {
            throw new ArgumentException($"Client '{client}' is the data of the device of that name, and '{device.Name}' is not it: set Device__Data there.", nameof(spec));
        }

        var own = TaskData.LoadSplit(spec.Task, device.Data, evaluation: false, tokenizer, positions);
        logger.LogInformation("{File}: {Samples} samples, and {LeftOut} rows left out", device.Data, own.Samples.Count, own.LeftOut);
        return [.. own.Samples.Select((sample, row) => sample with { Id = SampleId.OfDevice(client, row, sample.Digest) })];
    };
}
