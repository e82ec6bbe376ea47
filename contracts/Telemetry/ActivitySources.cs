using System.Diagnostics;

namespace SplitFrozen.Contracts.Telemetry;

/// <summary>How spans begin that belong to no caller.</summary>
public static class ActivitySources
{
    /// <summary>
    /// Starts the first span of a trace, whatever span the calling code was once started from: a loop that serves a run for hours is no
    /// part of the request that began it. Null where nobody listens.
    /// </summary>
    /// <param name="source">The source.</param>
    /// <param name="name">Name of the span.</param>
    /// <param name="startTime">When it began, if not now.</param>
    /// <param name="links">Spans that led to it.</param>
    public static Activity? StartRoot(this ActivitySource source, string name, DateTimeOffset startTime = default, IEnumerable<ActivityLink>? links = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (!source.HasListeners())
        {
            return null;
        }

        // A source takes the current span as the parent when it is given none.
        Activity.Current = null;
        return source.StartActivity(ActivityKind.Internal, parentContext: default, tags: null, links, startTime, name);
    }

    /// <summary>Adds a span that has ended already below another one. Nothing happens where that one is not recorded.</summary>
    /// <param name="source">The source.</param>
    /// <param name="name">Name of the span.</param>
    /// <param name="parent">The span above it, still running; null for none.</param>
    /// <param name="started">When it began.</param>
    /// <param name="ended">When it ended.</param>
    /// <param name="tags">Its attributes.</param>
    public static void AddEnded(
        this ActivitySource source, string name, Activity? parent, DateTimeOffset started, DateTimeOffset ended, params ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (parent is not { IsAllDataRequested: true })
        {
            return;
        }

        var current = Activity.Current;
        using (var activity = source.StartActivity(ActivityKind.Internal, parent.Context, tags: null, links: null, started, name))
        {
            foreach (var (key, value) in tags)
            {
                activity?.SetTag(key, value);
            }

            activity?.SetEndTime(ended.UtcDateTime);
        }

        Activity.Current = current;
    }
}
