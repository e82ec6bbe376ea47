using SplitFrozen.Cli.Events;
using SplitFrozen.Contracts.Events;

namespace SplitFrozen.Cli.Display;

/// <summary>Events as JSON, one per line, and nothing else.</summary>
internal sealed class JsonDisplay(TextWriter output) : IRunObserver
{
    /// <inheritdoc/>
    public void Observe(RunEvent runEvent)
    {
        output.WriteLine(runEvent.ToJson());
        output.Flush();
    }
}
