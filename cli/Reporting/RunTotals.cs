using SplitFrozen.Cli.Events;

namespace SplitFrozen.Cli.Reporting;

/// <summary>Sums over a whole run, all its processes together.</summary>
internal sealed record RunTotals(
    int Computed, long ForwardFlops, long Bytes, double DeviceSeconds, double TrainerSeconds, double StarvedSeconds, long TrainedTokens, double WallSeconds)
{
    /// <summary>Adds up a run's events.</summary>
    public static RunTotals Of(RunProgressView run) => new(
        run.Clients.Values.Sum(client => client.Computed),
        run.Clients.Values.Sum(client => client.ForwardFlops),
        run.Clients.Values.Sum(client => client.Bytes),
        run.Clients.Values.Sum(client => client.ComputeSeconds),
        run.Steps.Values.Sum(step => step.ComputeSeconds),
        run.Steps.Values.Sum(step => step.WaitSeconds),
        run.Steps.Values.Sum(step => step.Tokens),
        run.Progress.EarlierSeconds);
}
