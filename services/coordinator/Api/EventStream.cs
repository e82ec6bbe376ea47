using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using SplitFrozen.ActivationCache;
using SplitFrozen.Coordinator.Hosting;

namespace SplitFrozen.Coordinator.Api;

/// <summary>Follows the events of a run in the store.</summary>
internal sealed class EventStream(RedisRunStore store, CoordinatorHostOptions options, IHostApplicationLifetime lifetime, TimeProvider time)
{
    private const int EventsPerRead = 256;

    /// <summary>
    /// Events from number <paramref name="from"/> on. Ends after the <c>run_ended</c> of a run that was not resumed since, and when the
    /// process stops: a client then goes on at another coordinator.
    /// </summary>
    public async IAsyncEnumerable<SseItem<string>> ReadAsync(
        string runId, long from, HttpResponse response, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, lifetime.ApplicationStopping);

        // The head goes out at once, so that a client of a run without events knows that it is connected.
        await response.Body.FlushAsync(either.Token).ConfigureAwait(false);
        while (await NextAsync(runId, from, either.Token).ConfigureAwait(false) is { } events)
        {
            for (var i = 0; i < events.Lines.Count; i++)
            {
                yield return new SseItem<string>(events.Lines[i]) { EventId = $"{events.First + i}" };
            }

            from = events.First + events.Lines.Count;
        }
    }

    /// <summary>The next events as soon as there are any; null at the end.</summary>
    private async Task<StoredEvents?> NextAsync(string runId, long from, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                var run = await store.FindAsync(runId, cancellationToken).ConfigureAwait(false);
                var events = await store.ReadEventsAsync(runId, from, EventsPerRead, cancellationToken).ConfigureAwait(false);
                if (events.Lines.Count > 0)
                {
                    return events;
                }

                // Read before the events: closed, with nothing after it, means that the last one was the end. A run that is not there was
                // there before: it was deleted, or a store that has lost its data will soon be told it again.
                if (run is { IsOpen: false } || (run is null && await store.WasDeletedAsync(runId, cancellationToken).ConfigureAwait(false)))
                {
                    return null;
                }

                await Task.Delay(options.EventPoll, time, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return null;
        }
    }
}
