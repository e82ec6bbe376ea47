using SplitFrozen.Contracts.Events;

namespace SplitFrozen.Cli.Events;

/// <summary>Looks on while a run goes: a display, the metrics file, the progress account. Called one event at a time.</summary>
internal interface IRunObserver
{
    /// <summary>Takes note of one event.</summary>
    void Observe(RunEvent runEvent);
}
