using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Coordinator;

/// <summary>A finished assignment of which samples have not arrived.</summary>
internal sealed record OwedWork(string ClientId, long Sequence);

/// <summary>
/// Hands out work to clients: in the order in which samples are wanted, in assignments of a few samples, with a bound on
/// what one client has outstanding. Samples of an assignment that its client has finished, and that still have not
/// arrived, were refused on the way; they are asked again a bounded number of times. Not thread-safe.
/// </summary>
internal sealed class WorkAssigner(CoordinatorOptions options)
{
    private readonly Dictionary<string, ClientWork> _clients = [];

    // Only these are looked at for new assignments: the cost of an event does not grow with the number of clients.
    private readonly HashSet<string> _changed = [];

    /// <summary>Clients of which samples are wanted and not yet taken in.</summary>
    public IEnumerable<string> Owing => _clients.Where(client => client.Value.Outstanding > 0 || client.Value.HasWanted).Select(client => client.Key);

    /// <summary>True while a client is registered; otherwise nothing is asked of it.</summary>
    public bool IsPresent(string clientId) => Of(clientId).IsPresent;

    /// <summary>A client has registered.</summary>
    public void Present(string clientId)
    {
        Of(clientId).IsPresent = true;
        _changed.Add(clientId);
    }

    /// <summary>A client came back as one that may not take part: nothing more is asked of it until it registers.</summary>
    public void Refused(string clientId) => Of(clientId).IsPresent = false;

    /// <summary>Wants a sample that is missing; nothing happens when it is on its way or in the cache.</summary>
    /// <param name="entry">The sample.</param>
    /// <param name="neededAt">The step message that waits for it.</param>
    /// <param name="urgent">Ask for it before what is wanted already: the trainer waits for it.</param>
    public void Want(SampleEntry entry, long neededAt, bool urgent)
    {
        if (entry.State == SampleState.Missing)
        {
            entry.State = SampleState.Wanted;
            entry.NeededAt = neededAt;
            var work = Of(entry.Client.Id);
            _changed.Add(entry.Client.Id);
            (urgent ? work.Urgent : work.Wanted).Enqueue(entry);
        }
    }

    /// <summary>The assignments that clients have room for now.</summary>
    public IReadOnlyList<WorkAssigned> TakeAssignments()
    {
        var assignments = new List<WorkAssigned>();
        foreach (var clientId in _changed.Order(StringComparer.Ordinal))
        {
            var work = _clients[clientId];
            while (work.IsPresent && work.Outstanding < options.OutstandingSamples && work.TakeWanted(options.AssignmentSamples) is { Count: > 0 } taken)
            {
                var sequence = work.NextSequence++;
                work.Assignments.Add(sequence, new Assignment(taken));
                work.Outstanding += taken.Count;
                foreach (var entry in taken)
                {
                    entry.State = SampleState.Assigned;
                    entry.Assignment = sequence;
                }

                assignments.Add(new WorkAssigned(options.RunId, clientId, sequence, taken.Min(entry => entry.NeededAt), [.. taken.Select(entry => entry.Id)]));
            }
        }

        _changed.Clear();
        return assignments;
    }

    /// <summary>A sample's activations are in the cache.</summary>
    public void Ingested(SampleEntry entry)
    {
        Release(entry);
        entry.State = SampleState.Cached;
        entry.Attempts = 0;
    }

    /// <summary>The run goes on without a sample.</summary>
    public void Fail(SampleEntry entry)
    {
        Release(entry);
        entry.State = SampleState.Failed;
    }

    /// <summary>A message of a client was taken in or refused: its queue is moving.</summary>
    public void Moved(string clientId, DateTimeOffset now) => Of(clientId).LastMove = now;

    /// <summary>A client has published everything of an assignment.</summary>
    public void Finished(string clientId, long sequence, DateTimeOffset now)
    {
        if (_clients.TryGetValue(clientId, out var work) && work.Assignments.TryGetValue(sequence, out var assignment))
        {
            assignment.FinishedAt ??= now;
        }
    }

    /// <summary>
    /// Assignments that their clients finished some time ago and that still owe samples, where the client has not sent
    /// anything since: both at least <see cref="CoordinatorOptions.RepeatAfter"/> ago.
    /// </summary>
    public IReadOnlyList<OwedWork> Owed(DateTimeOffset now)
    {
        var owed = new List<OwedWork>();
        foreach (var (clientId, work) in _clients)
        {
            if (now - work.LastMove >= options.RepeatAfter)
            {
                var finished = work.Assignments.Where(assignment => now - assignment.Value.FinishedAt >= options.RepeatAfter);
                owed.AddRange(finished.Select(assignment => new OwedWork(clientId, assignment.Key)));
            }
        }

        return owed;
    }

    /// <summary>
    /// Assignments that their clients have neither finished nor sent anything for in <see cref="CoordinatorOptions.RemindAfter"/>, as they were given
    /// but for what has arrived: the message, or its answer, may be lost. Each is told again at most so often.
    /// </summary>
    public IReadOnlyList<WorkAssigned> Reminders(DateTimeOffset now)
    {
        var reminders = new List<WorkAssigned>();
        foreach (var (clientId, work) in _clients.Where(client => client.Value.IsPresent))
        {
            foreach (var (sequence, assignment) in work.Assignments.Where(assignment => assignment.Value.FinishedAt is null))
            {
                assignment.ToldAt ??= now;
                if (now - assignment.ToldAt >= options.RemindAfter && now - work.LastMove >= options.RemindAfter)
                {
                    assignment.ToldAt = now;
                    var open = assignment.Open.Values;
                    reminders.Add(new WorkAssigned(options.RunId, clientId, sequence, open.Min(entry => entry.NeededAt), [.. open.Select(entry => entry.Id)]));
                }
            }
        }

        return reminders;
    }

    /// <summary>Wants again what an assignment owes: its messages were refused.</summary>
    /// <returns>The samples that were asked for too often.</returns>
    public IReadOnlyList<SampleEntry> Repeat(OwedWork owed)
    {
        var hopeless = new List<SampleEntry>();
        if (!Of(owed.ClientId).Assignments.TryGetValue(owed.Sequence, out var assignment))
        {
            return hopeless;
        }

        foreach (var entry in assignment.Open.Values.ToArray())
        {
            Release(entry);
            entry.State = SampleState.Missing;
            entry.Attempts++;
            if (entry.Attempts >= options.MaximumAttempts)
            {
                hopeless.Add(entry);
            }
            else
            {
                Want(entry, entry.NeededAt, urgent: true);
            }
        }

        return hopeless;
    }

    /// <summary>A client's device worker was started anew: what it had been asked for is lost and is asked again.</summary>
    public void Restarted(string clientId)
    {
        foreach (var entry in Of(clientId).Assignments.Values.SelectMany(assignment => assignment.Open.Values).ToArray())
        {
            Release(entry);
            entry.State = SampleState.Missing;
            Want(entry, entry.NeededAt, urgent: true);
        }
    }

    private void Release(SampleEntry entry)
    {
        if (entry.State != SampleState.Assigned)
        {
            return;
        }

        var work = Of(entry.Client.Id);
        work.Outstanding--;
        _changed.Add(entry.Client.Id);
        var assignment = work.Assignments[entry.Assignment];
        assignment.Open.Remove(entry.Id);
        if (assignment.Open.Count == 0)
        {
            work.Assignments.Remove(entry.Assignment);
        }
    }

    private ClientWork Of(string clientId)
    {
        if (!_clients.TryGetValue(clientId, out var work))
        {
            _clients.Add(clientId, work = new ClientWork { NextSequence = options.FirstAssignment });
        }

        return work;
    }

    private sealed class Assignment(IEnumerable<SampleEntry> samples)
    {
        public Dictionary<SampleId, SampleEntry> Open { get; } = samples.ToDictionary(entry => entry.Id);

        public DateTimeOffset? FinishedAt { get; set; }

        /// <summary>When it was last told, or first looked at after that.</summary>
        public DateTimeOffset? ToldAt { get; set; }
    }

    private sealed class ClientWork
    {
        public Queue<SampleEntry> Urgent { get; } = new();

        public Queue<SampleEntry> Wanted { get; } = new();

        public SortedDictionary<long, Assignment> Assignments { get; } = [];

        public int Outstanding { get; set; }

        public bool IsPresent { get; set; }

        public bool HasWanted => Urgent.Concat(Wanted).Any(entry => entry.State == SampleState.Wanted);

        public long NextSequence { get; set; }

        public DateTimeOffset LastMove { get; set; } = DateTimeOffset.MinValue;

        /// <summary>The next samples to ask for; those that arrived meanwhile are passed over.</summary>
        public List<SampleEntry> TakeWanted(int limit)
        {
            var taken = new List<SampleEntry>();
            while (taken.Count < limit && (Urgent.TryDequeue(out var entry) || Wanted.TryDequeue(out entry)))
            {
                if (entry.State == SampleState.Wanted)
                {
                    taken.Add(entry);
                }
            }

            return taken;
        }
    }
}
