using SplitFrozen.Cli.Events;
using SplitFrozen.Contracts.Events;

namespace SplitFrozen.Cli.Display;

/// <summary>Rates and estimates over the recent past, from the events alone. Not thread-safe: its display calls it one at a time.</summary>
internal sealed class RunRates : IRunObserver
{
    private static readonly TimeSpan s_window = TimeSpan.FromSeconds(15);

    private readonly Queue<StepAppliedEvent> _steps = new();
    private readonly Dictionary<string, Queue<DeviceProgressEvent>> _devices = new(StringComparer.Ordinal);
    private DateTimeOffset _firstStep;
    private int _stepsSeen;
    private double _smoothedLoss = double.NaN;

    /// <summary>Loss, smoothed over about twenty steps; not a number before the first.</summary>
    public double Loss => _smoothedLoss;

    /// <inheritdoc/>
    public void Observe(RunEvent runEvent)
    {
        switch (runEvent)
        {
            case StepAppliedEvent step:
                if (_stepsSeen++ == 0)
                {
                    _firstStep = step.Time;
                }

                _steps.Enqueue(step);
                if (step.Samples > 0)
                {
                    _smoothedLoss = double.IsNaN(_smoothedLoss) ? step.Loss : (0.95 * _smoothedLoss) + (0.05 * step.Loss);
                }

                while (_steps.Count > 2 && step.Time - _steps.Peek().Time > s_window)
                {
                    _steps.Dequeue();
                }

                break;
            case DeviceProgressEvent progress:
                if (!_devices.TryGetValue(progress.Client, out var recent))
                {
                    _devices[progress.Client] = recent = new Queue<DeviceProgressEvent>();
                }

                recent.Enqueue(progress);
                break;
        }
    }

    /// <summary>Trained tokens per second over the last seconds; 0 before the second step.</summary>
    public double TokensPerSecond(DateTimeOffset now) =>
        _steps.Count < 2 ? 0 : _steps.Skip(1).Sum(step => step.Tokens) / Math.Max(0.05, (now - _steps.Peek().Time).TotalSeconds);

    /// <summary>Time that so many steps will take at the average rate of this process, evaluations included; null before the second step.</summary>
    public TimeSpan? Remaining(int steps, DateTimeOffset now) => _stepsSeen < 2 ? null : (now - _firstStep) / (_stepsSeen - 1) * steps;

    /// <summary>Share of the last seconds in which the trainer waited for data, in [0, 1].</summary>
    public double Starvation()
    {
        var (wait, compute) = (_steps.Sum(step => step.WaitSeconds), _steps.Sum(step => step.ComputeSeconds));
        return wait + compute > 0 ? wait / (wait + compute) : 0;
    }

    /// <summary>Samples per second that a client's device computed over the last seconds.</summary>
    public double SamplesPerSecond(string client, DateTimeOffset now)
    {
        if (!_devices.TryGetValue(client, out var recent))
        {
            return 0;
        }

        while (recent.TryPeek(out var oldest) && now - oldest.Time > s_window)
        {
            recent.Dequeue();
        }

        var seconds = recent.TryPeek(out var first) ? Math.Max(1, (now - first.Time).TotalSeconds) : 1;
        return recent.Sum(progress => progress.Samples) / seconds;
    }
}
