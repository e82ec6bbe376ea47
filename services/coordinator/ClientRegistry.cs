using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Coordinator;

/// <summary>What became of a registration.</summary>
internal enum RegistrationOutcome
{
    /// <summary>The client is new and taken.</summary>
    Accepted,

    /// <summary>The same start of the same client again.</summary>
    Repeated,

    /// <summary>A client of the run with the same data, started anew.</summary>
    Restarted,

    /// <summary>The client is refused.</summary>
    Refused,
}

/// <summary>Checks registrations and knows which expected clients are still to come. Not thread-safe.</summary>
internal sealed class ClientRegistry(CoordinatorOptions options, SampleDirectory directory)
{
    // The start of each client's device worker; null for a client that is known from the ledger and has not been heard of yet.
    private readonly Dictionary<string, string?> _instances = [];
    private readonly Dictionary<string, string> _refused = [];
    private readonly Dictionary<string, byte[]> _records = [];
    private bool _planned;

    /// <summary>True when every expected client has been taken.</summary>
    public bool IsComplete => _planned || options.Clients.All(_instances.ContainsKey);

    /// <summary>The clients that have registered here.</summary>
    public IEnumerable<string> Present => _instances.Where(client => client.Value is not null).Select(client => client.Key);

    /// <summary>What the ledger is to keep of the clients that were taken.</summary>
    public IReadOnlyDictionary<string, byte[]> Records => _records;

    /// <summary>True when every expected client has answered and at least one was refused: waiting would be in vain.</summary>
    public bool IsHopeless => _refused.Count > 0 && options.Clients.All(client => _instances.ContainsKey(client) || _refused.ContainsKey(client));

    /// <summary>Takes the clients over which the run is planned already.</summary>
    /// <exception cref="CoordinatorException">A record cannot be read or does not fit.</exception>
    public void Restore(IReadOnlyDictionary<string, byte[]> records)
    {
        foreach (var (client, bytes) in records.OrderBy(record => record.Key, StringComparer.Ordinal))
        {
            var reason = ClientRecord.TryRead(bytes) is { } record ? directory.Add(client, record.Cut, record.Manifest) : $"it has {bytes.Length} bytes";
            if (reason is not null)
            {
                throw new CoordinatorException($"Run '{options.RunId}': the ledger's record of client '{client}' cannot be used: {reason}. Delete this run's ledger.");
            }

            _instances.Add(client, null);
        }

        _planned = records.Count > 0;
    }

    /// <summary>The run is planned over the clients taken so far; no other is taken from here on.</summary>
    public void Close() => _planned = true;

    /// <summary>Takes or refuses a registration.</summary>
    /// <param name="message">The registration.</param>
    /// <param name="reason">Why it is refused.</param>
    public RegistrationOutcome Register(ClientRegistered message, out string? reason)
    {
        reason = null;
        if (_instances.TryGetValue(message.ClientId, out var instance))
        {
            if (instance == message.Instance)
            {
                return RegistrationOutcome.Repeated;
            }

            reason = Fault(message) ?? Change(message);
            if (reason is not null)
            {
                return RegistrationOutcome.Refused;
            }

            _instances[message.ClientId] = message.Instance;
            return instance is null ? RegistrationOutcome.Accepted : RegistrationOutcome.Restarted;
        }

        reason = Fault(message) ?? (_planned ? "the run is planned without it: it came too late" : null) ?? directory.Add(message.ClientId, message.Cut, message.Manifest);
        if (reason is not null)
        {
            _refused[message.ClientId] = reason;
            return RegistrationOutcome.Refused;
        }

        _refused.Remove(message.ClientId);
        _records.Add(message.ClientId, new ClientRecord(message.Cut, message.Manifest).ToBytes());
        _instances.Add(message.ClientId, message.Instance);
        return RegistrationOutcome.Accepted;
    }

    /// <summary>The clients that are still missing, and why.</summary>
    public IReadOnlyDictionary<string, string> Missing() => options.Clients.Where(client => !_instances.ContainsKey(client)).ToDictionary(
        client => client, client => _refused.TryGetValue(client, out var reason) ? $"was refused: {reason}" : "has not registered");

    private string? Fault(ClientRegistered message)
    {
        if (!options.Clients.Contains(message.ClientId))
        {
            return $"the run has no client '{message.ClientId}'";
        }

        if (message.ModelFingerprint != options.ModelFingerprint)
        {
            return $"its model has fingerprint {Short(message.ModelFingerprint)}, the server's has {Short(options.ModelFingerprint)}: "
                + "copy the same base model to the device";
        }

        if (message.Cut < 0 || message.Cut > options.Boundary)
        {
            return $"its cut {message.Cut} is not in [0, {options.Boundary}], the frozen part of the model";
        }

        var wrong = Array.FindIndex(message.Manifest, entry => entry.Length < 1 || entry.Length > options.MaximumLength);
        return wrong < 0
            ? null
            : $"sample {message.Manifest[wrong].Id} has {message.Manifest[wrong].Length} tokens; 1 to {options.MaximumLength} are accepted";
    }

    private string? Change(ClientRegistered message)
    {
        var same = directory.Client(message.ClientId)?.Samples == message.Manifest.Length && Array.TrueForAll(message.Manifest, announced =>
            directory.TryGet(announced.Id, out var entry) && entry!.Client.Id == message.ClientId && entry.Client.Cut == message.Cut
            && entry.Length == announced.Length && entry.Digest == announced.Digest);
        return same ? null : "it came back with other data or another cut than it registered with: a run's data cannot change";
    }

    private static string Short(string fingerprint) => fingerprint.Length <= 16 ? $"'{fingerprint}'" : $"'{fingerprint[..16]}…'";
}
