using Microsoft.Extensions.Logging;

namespace SplitFrozen.Messaging.ControlBus;

/// <summary>A process must end although its broker is away; what it leaves there expires.</summary>
internal sealed class StopLimit(TimeSpan limit, TimeProvider time, ILogger logger)
{
    /// <summary>Ends something, or gives it up when the limit has passed; never throws.</summary>
    public async Task WithinAsync(string what, Func<CancellationToken, Task> end)
    {
        using var deadline = new Deadline(limit, time, CancellationToken.None);
        try
        {
            // The library does not look at its token in every state.
            await end(deadline.Token).WaitAsync(deadline.Token).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            logger.LogWarning(exception, "{What} did not succeed; what is left expires at the broker", what);
        }
    }
}
