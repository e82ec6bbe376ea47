using SplitFrozen.Comparison.Fleet.Costs;

namespace SplitFrozen.Comparison.Fleet.Simulation;

/// <summary>
/// The server's training, one optimiser step after the other. A step's micro-batches go forward through the stages and backward through them
/// again. Decoupled, a stage passes its input gradient on as soon as B is done and does W when it has nothing else to do (as in zero-bubble
/// schedules); coupled, B and W are one piece.
/// </summary>
internal sealed class TrainerStages(VirtualClock clock, List<Activity> timeline, SimulatedServer server, bool decoupled)
{
    private const long InputGradientFirst = 0;
    private const long ThenForward = 1;
    private const long WeightGradientLast = 2;

    private readonly Station[] _stages =
        [.. Enumerable.Range(1, server.Stages).Select(number => new Station(clock, timeline, server.Stages == 1 ? "server" : $"server stage {number}"))];

    private readonly Queue<Action> _waiting = new();
    private bool _busy;

    /// <summary>Trains one step when those before it are done.</summary>
    /// <param name="client">The client it is for; −1 for all.</param>
    /// <param name="step">Its number.</param>
    /// <param name="samples">Work of each sample.</param>
    /// <param name="done">What follows.</param>
    internal void Train(int client, int step, IReadOnlyList<PassFlops> samples, Action done)
    {
        _waiting.Enqueue(() => Start(client, step, samples, done));
        StartNext();
    }

    private void StartNext()
    {
        if (!_busy && _waiting.TryDequeue(out var start))
        {
            _busy = true;
            start();
        }
    }

    private void Start(int client, int step, IReadOnlyList<PassFlops> samples, Action done)
    {
        var size = (samples.Count + server.MicroBatches - 1) / server.MicroBatches;
        var microBatches = samples.Chunk(size).Select(chunk => chunk.Aggregate((sum, sample) => sum + sample)).ToArray();
        var unfinished = microBatches.Length * _stages.Length;
        foreach (var work in microBatches)
        {
            Forward(work, stage: 0);
        }

        void Forward(PassFlops work, int stage) => Submit(stage, work.Forward, ActivityKind.ServerForward, ThenForward, () =>
        {
            if (stage + 1 < _stages.Length)
            {
                Forward(work, stage + 1);
            }
            else
            {
                Backward(work, stage);
            }
        });

        void Backward(PassFlops work, int stage) =>
            Submit(stage, decoupled ? work.BackwardInput : work.Backward, ActivityKind.ServerBackwardInput, InputGradientFirst, () =>
            {
                if (stage > 0)
                {
                    Backward(work, stage - 1);
                }

                Submit(stage, decoupled ? work.BackwardWeight : 0, ActivityKind.ServerBackwardWeight, WeightGradientLast, Finish);
            });

        void Finish()
        {
            if (--unfinished == 0)
            {
                _stages[0].Submit(new Job(server.StepSeconds, ActivityKind.ServerStep, client, step, () =>
                {
                    _busy = false;
                    done();
                    StartNext();
                }));
            }
        }

        void Submit(int stage, long flops, ActivityKind kind, long priority, Action then) =>
            _stages[stage].Submit(new Job(flops / (server.GigaflopsPerSecond * 1e9 * _stages.Length), kind, client, step, then), priority);
    }
}
