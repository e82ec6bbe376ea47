using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Coordinator.Devices;

/// <summary>A device worker as it was last heard of.</summary>
/// <param name="Device">Its name.</param>
/// <param name="Instance">Names its present start.</param>
/// <param name="Profile">What it can do.</param>
/// <param name="LastSeen">Its last sign of life.</param>
/// <param name="IsAlive">False when its lease has ended or it has left.</param>
/// <param name="HasOwnData">Whether it holds training data of its own.</param>
public sealed record KnownDevice(string Device, string Instance, DeviceProfile Profile, DateTimeOffset LastSeen, bool IsAlive, bool HasOwnData);

/// <summary>Knows the device workers by their signs of life; one that was not heard of for the time of its lease is gone. Thread-safe.</summary>
/// <param name="time">The clock.</param>
/// <param name="lease">How long a device counts as alive after a sign of life.</param>
public sealed class DeviceRegistry(TimeProvider time, TimeSpan lease)
{
    /// <summary>What is gone for this many leases is forgotten, so that names which never come again do not pile up.</summary>
    private const int LeasesRemembered = 360;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, Entry> _devices = [];
    private readonly long _start = time.GetTimestamp();

    /// <summary>How long it has listened.</summary>
    public TimeSpan Listened => time.GetElapsedTime(_start);

    /// <summary>All devices that are remembered, by name.</summary>
    public IReadOnlyList<KnownDevice> Devices
    {
        get
        {
            lock (_gate)
            {
                return [.. _devices.Values.OrderBy(entry => entry.Message.Device, StringComparer.Ordinal).Select(Known)];
            }
        }
    }

    /// <summary>The devices that are alive, by name.</summary>
    public IReadOnlyList<KnownDevice> Live => [.. Devices.Where(device => device.IsAlive)];

    /// <summary>Takes a sign of life.</summary>
    public void Heard(DeviceAlive message)
    {
        lock (_gate)
        {
            _devices[message.Device] = new Entry(message, time.GetTimestamp(), time.GetUtcNow());
            foreach (var (name, _) in _devices.Where(device => time.GetElapsedTime(device.Value.Heard) > lease * LeasesRemembered).ToArray())
            {
                _devices.Remove(name);
            }
        }
    }

    /// <summary>
    /// True for a device that has not been heard of yet and may still be alive: the registry has not listened for the time of a lease.
    /// </summary>
    public bool MayCome(string device)
    {
        lock (_gate)
        {
            return !_devices.ContainsKey(device) && Listened < lease;
        }
    }

    private KnownDevice Known(Entry entry) => new(
        entry.Message.Device, entry.Message.Instance, entry.Message.Profile, entry.Seen, !entry.Message.Leaving && time.GetElapsedTime(entry.Heard) < lease,
        entry.Message.HasOwnData);

    private sealed record Entry(DeviceAlive Message, long Heard, DateTimeOffset Seen);
}
