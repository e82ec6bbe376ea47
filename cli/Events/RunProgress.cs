using SplitFrozen.Contracts.Events;

namespace SplitFrozen.Cli.Events;

/// <summary>Figures of one client, summed over all processes that worked on the run.</summary>
internal sealed class ClientProgress(string client)
{
    /// <summary>The client's id.</summary>
    public string Client { get; } = client;

    /// <summary>Samples that it holds.</summary>
    public int Samples { get; set; }

    /// <summary>Samples that its device computed; fewer than it holds where the cache knew the rest.</summary>
    public int Computed { get; set; }

    /// <summary>Samples that the coordinator took in.</summary>
    public int Ingested { get; set; }

    /// <summary>Tokens computed.</summary>
    public long Tokens { get; set; }

    /// <summary>Forward FLOPs of its device, by formula.</summary>
    public long ForwardFlops { get; set; }

    /// <summary>Bytes published.</summary>
    public long Bytes { get; set; }

    /// <summary>Seconds that its device spent in the forward.</summary>
    public double ComputeSeconds { get; set; }
}

/// <summary>
/// The account of a run, built from its events alone: live ones, and on resume those already in <c>metrics.jsonl</c>. A step
/// seen twice (repeated after the last checkpoint) counts once, with its later figures. Thread-safe by its own lock.
/// </summary>
internal sealed class RunProgress : IRunObserver
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, ClientProgress> _clients = new(NaturalOrder.Instance);
    private readonly SortedDictionary<int, StepAppliedEvent> _steps = [];
    private readonly SortedDictionary<int, EvaluationEvent> _evaluations = [];
    private readonly List<SamplesFailedEvent> _failures = [];
    private readonly Dictionary<string, GenerationEvent> _generations = new(StringComparer.Ordinal);

    /// <summary>The latest plan; null before the coordinator knows all samples.</summary>
    public RunPlannedEvent? Plan { get; private set; }

    /// <summary>Samples known to the cache when the run was first planned.</summary>
    public int? CachedAtFirst { get; private set; }

    /// <summary>When the present process started on the run.</summary>
    public DateTimeOffset Started { get; private set; }

    /// <summary>Seconds that earlier processes worked on the run.</summary>
    public double EarlierSeconds { get; private set; }

    /// <summary>Messages that the coordinator refused.</summary>
    public long RefusedMessages { get; private set; }

    /// <summary>Why the last of them was refused; null where none was.</summary>
    public string? LastRefusal { get; private set; }

    /// <summary>How many processes have worked on the run.</summary>
    public int Starts { get; private set; }

    /// <summary>The end of the latest process; null while it works.</summary>
    public RunEndedEvent? End { get; private set; }

    /// <inheritdoc/>
    public void Observe(RunEvent runEvent)
    {
        lock (_lock)
        {
            Apply(runEvent);
        }
    }

    /// <summary>Reads under the lock: the snapshot is consistent.</summary>
    public T Read<T>(Func<RunProgressView, T> reader)
    {
        lock (_lock)
        {
            return reader(new RunProgressView(this, _clients, _steps, _evaluations, _failures, _generations));
        }
    }

    private void Apply(RunEvent runEvent)
    {
        switch (runEvent)
        {
            case RunStartedEvent started:
                (Started, End) = (started.Time, null);
                Starts++;
                break;
            case RunPlannedEvent planned:
                Plan = planned;
                CachedAtFirst ??= planned.CachedSamples;
                foreach (var (client, samples) in planned.SamplesPerClient)
                {
                    Client(client).Samples = samples;
                }

                break;
            case DeviceProgressEvent progress:
                Add(Client(progress.Client), progress);
                break;
            case ActivationsIngestedEvent ingested:
                Client(ingested.Client).Ingested += ingested.Samples;
                break;
            case StepAppliedEvent step:
                _steps[step.Step] = step;
                break;
            case EvaluationEvent evaluation:
                _evaluations[evaluation.EpochsTrained] = evaluation;
                break;
            case MessageRejectedEvent rejected:
                RefusedMessages += rejected.Messages;
                LastRefusal = rejected.Reason;
                break;
            case SamplesFailedEvent failed:
                _failures.Add(failed);
                break;
            case GenerationEvent generation:
                _generations[generation.Stage] = generation;
                break;
            case RunEndedEvent ended:
                End = ended;
                EarlierSeconds += ended.WallSeconds;
                break;
        }
    }

    private static void Add(ClientProgress client, DeviceProgressEvent progress)
    {
        client.Computed += progress.Samples;
        client.Tokens += progress.Tokens;
        client.ForwardFlops += progress.ForwardFlops;
        client.Bytes += progress.Bytes;
        client.ComputeSeconds += progress.ComputeSeconds;
    }

    private ClientProgress Client(string id)
    {
        if (!_clients.TryGetValue(id, out var client))
        {
            _clients[id] = client = new ClientProgress(id);
        }

        return client;
    }
}

/// <summary>What a display or report sees of a <see cref="RunProgress"/>, valid while it is being read.</summary>
internal sealed record RunProgressView(
    RunProgress Progress,
    IReadOnlyDictionary<string, ClientProgress> Clients,
    IReadOnlyDictionary<int, StepAppliedEvent> Steps,
    IReadOnlyDictionary<int, EvaluationEvent> Evaluations,
    IReadOnlyList<SamplesFailedEvent> Failures,
    IReadOnlyDictionary<string, GenerationEvent> Generations);
