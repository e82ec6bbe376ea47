using System.Globalization;
using SplitFrozen.Cli.Events;
using SplitFrozen.Contracts.Events;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Cli.Display;

/// <summary>Lines for a log: milestones at once, progress at most every five seconds.</summary>
internal sealed class PlainDisplay(TextWriter output, RunProgress progress, TimeProvider time) : IRunObserver
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(5);

    private readonly RunRates _rates = new();
    private DateTimeOffset _lastLine = time.GetUtcNow();

    /// <inheritdoc/>
    public void Observe(RunEvent runEvent)
    {
        _rates.Observe(runEvent);
        if (Milestone(runEvent) is { } line)
        {
            output.WriteLine(line);
        }
        else if (runEvent is StepAppliedEvent or ActivationsIngestedEvent && time.GetUtcNow() - _lastLine >= s_interval)
        {
            _lastLine = time.GetUtcNow();
            output.WriteLine(ProgressLine());
        }
    }

    private static string? Milestone(RunEvent runEvent) => runEvent switch
    {
        RunStartedEvent { FromStep: > 0 } started => $"run {started.Run}: goes on from step {started.FromStep}",
        RunStartedEvent started => $"run {started.Run}: starts",
        RunPlannedEvent planned =>
            $"planned: {planned.TrainSamples} training and {planned.EvaluationSamples} held-out samples over "
            + $"{planned.SamplesPerClient.Keys.Count(client => client != ClientNames.Evaluation)} clients, {planned.CachedSamples} cached already, {planned.TotalSteps} steps",
        EvaluationEvent evaluation =>
            $"evaluation {EvaluationName(evaluation.EpochsTrained)}: {string.Join(", ", evaluation.Metrics.Select(m => $"{m.Key} {Quantity.Metric(m.Key, m.Value)}"))} "
            + $"({evaluation.Samples} samples)",
        MessageRejectedEvent rejected => $"refused {(rejected.Messages == 1 ? "a message" : $"{rejected.Messages} messages")} of {rejected.Client}: {rejected.Reason}",
        SamplesFailedEvent failed => FailureText(failed),
        GenerationEvent generation =>
            $"generation {generation.Stage}: {generation.Correct} of {generation.Answered} answers exact ({Quantity.Metric("exact_match", generation.ExactMatch)})",
        RunEndedEvent { Reason: { } reason } ended => $"run {ended.Status}: {reason}",
        _ => null,
    };

    /// <summary>How displays name an evaluation.</summary>
    public static string EvaluationName(int epochsTrained) => epochsTrained == 0 ? "before training" : $"after epoch {epochsTrained}";

    /// <summary>How displays and reports tell that a run goes on without samples.</summary>
    public static string FailureText(SamplesFailedEvent failed) =>
        $"goes on without {(failed.Samples == 0 ? $"client {failed.Client}" : $"{failed.Samples} samples of {failed.Client}")}: it {failed.Reason}";

    private string ProgressLine() => progress.Read(view =>
    {
        var now = time.GetUtcNow();
        var computed = view.Clients.Values.Sum(client => client.Computed);
        var deviceRate = view.Clients.Keys.Sum(client => _rates.SamplesPerSecond(client, now));
        var devices = string.Create(CultureInfo.InvariantCulture, $"devices {computed} samples ({deviceRate:0}/s)");
        if (view.Steps.Count == 0)
        {
            return devices;
        }

        var step = view.Steps.Keys.Last() + 1;
        var total = view.Progress.Plan?.TotalSteps ?? step;
        var eta = _rates.Remaining(total - step, now) is { } remaining ? Quantity.Time(remaining) : "?";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"step {step}/{total}  loss {_rates.Loss:0.000}  {Quantity.Count(_rates.TokensPerSecond(now))} tokens/s  starved {_rates.Starvation():0%}  ETA {eta}  {devices}");
    });
}
