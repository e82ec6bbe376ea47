using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using SplitFrozen.Comparison.Methods;
using SplitFrozen.Tasks;

namespace SplitFrozen.Comparison.Study;

/// <summary>Trains one cell. Must be called on a compute thread.</summary>
/// <param name="options">Settings of the methods.</param>
/// <param name="time">Clock.</param>
public sealed class CellRunner(StudyOptions options, TimeProvider time)
{
    /// <summary>Trains the cell; one that cannot be trained is a result with an error.</summary>
    public CellResult Run(Cell cell, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(cell);
        var problem = new FineTuningProblem(cell.Task.Model, cell.Slice.Data, cell.Spec);
        var clients = cell.Partition is null ? [] : ClientShare.Of(problem, Partitioner.Partition(problem.Data.Train, problem.Spec.Clients, unchecked((ulong)cell.Seed)));
        var started = time.GetTimestamp();
        var result = new CellResult { Label = cell.Label, Identity = cell.Identity(options) };
        try
        {
            var outcome = Train(cell, problem, clients, cancellationToken);
            return result with
            {
                Epochs = outcome.Epochs,
                Seconds = time.GetElapsedTime(started).TotalSeconds,
                TrainedParameters = outcome.Trained.Sum(tensor => tensor.Values.LongLength),
                TrainedParametersBelowBoundary = outcome.Trained.Where(tensor => Block(tensor.Name) < problem.Spec.Model.Boundary).Sum(tensor => tensor.Values.LongLength),
                TrainedDigest = Digest(outcome.Trained),
                Clients = [.. clients.Zip(outcome.Clients, (client, work) => new ClientRecord(client.Cut, [.. client.Samples.Select(sample => sample.Tokens.Length)], work))],
                Server = outcome.Server,
            };
        }
        catch (MethodException exception)
        {
            return result with { Error = exception.Message, Seconds = time.GetElapsedTime(started).TotalSeconds };
        }
    }

    private MethodOutcome Train(Cell cell, FineTuningProblem problem, IReadOnlyList<ClientShare> clients, CancellationToken cancellationToken)
    {
        var (boundary, wireType) = (problem.Spec.Model.Boundary, problem.Spec.Device.WireType);
        return cell.Method switch
        {
            MethodKind.SplitFrozen => SplitFrozenMethod.Train(problem, clients, cell.Slice.Activations, cancellationToken: cancellationToken),
            MethodKind.FedLora => FedLora.Train(problem, clients, new FedLoraOptions { LocalEpochs = options.LocalEpochs }, cancellationToken: cancellationToken),
            MethodKind.FedLoraStacking => FedLora.Train(
                problem, clients, new FedLoraOptions { LocalEpochs = options.LocalEpochs, Aggregation = AdapterAggregation.Stacking }, cancellationToken: cancellationToken),
            MethodKind.SplitLora => SplitLora.Train(problem, clients, SplitLoraOptions.For(wireType, options.AveragingInterval), cancellationToken: cancellationToken),
            MethodKind.Centralised => Centralised.Train(problem, boundary, wireType, cancellationToken: cancellationToken),
            MethodKind.CentralisedAllBlocks => Centralised.Train(problem, 0, Contracts.Wire.WireType.Float32, cancellationToken: cancellationToken),
            _ => throw new ArgumentOutOfRangeException(nameof(cell), cell.Method, "Not a method."),
        };
    }

    /// <summary>The block of <c>h.3.attn…</c> or <c>layers.3.mlp…</c>; beyond every block for the head.</summary>
    private static int Block(string name) => name.Split('.') is [_, var block, ..] && int.TryParse(block, out var index) ? index : int.MaxValue;

    private static string Digest(IReadOnlyList<TrainedTensor> trained)
    {
        var hash = new XxHash128();
        foreach (var tensor in trained)
        {
            hash.Append(Encoding.UTF8.GetBytes(tensor.Name));
            hash.Append(MemoryMarshal.AsBytes<float>(tensor.Values));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
