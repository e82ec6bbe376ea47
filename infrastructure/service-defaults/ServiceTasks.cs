using System.Runtime.ExceptionServices;

namespace SplitFrozen.ServiceDefaults;

/// <summary>Runs the concurrent parts of a service as one: none outlives the others, and the first fault is the one reported.</summary>
public static class ServiceTasks
{
    /// <summary>
    /// Runs <paramref name="main"/> beside <paramref name="background"/>. When the main part ends, the others are cancelled;
    /// when a background part fails, the main part is. Returns when all have ended.
    /// </summary>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    /// <remarks>Any other exception is the first fault of a part, unchanged.</remarks>
    public static async Task RunAsync(
        Func<CancellationToken, Task> main, IEnumerable<Func<CancellationToken, Task>> background, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        ExceptionDispatchInfo? fault = null;

        async Task GuardAsync(Func<CancellationToken, Task> part, bool isMain)
        {
            try
            {
                await part(stop.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
#pragma warning disable CA1031 // Whatever it is, it is rethrown below, after the other parts have stopped.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                Interlocked.CompareExchange(ref fault, ExceptionDispatchInfo.Capture(exception), null);
                await stop.CancelAsync().ConfigureAwait(false);
            }

            if (isMain)
            {
                await stop.CancelAsync().ConfigureAwait(false);
            }
        }

        var parts = background.Select(part => GuardAsync(part, isMain: false)).Prepend(GuardAsync(main, isMain: true)).ToArray();
        await Task.WhenAll(parts).ConfigureAwait(false);
        fault?.Throw();
        cancellationToken.ThrowIfCancellationRequested();
    }
}
