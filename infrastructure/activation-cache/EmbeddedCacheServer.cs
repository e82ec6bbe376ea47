using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Garnet;
using Garnet.server;
using SplitFrozen.Contracts.Security;
using StackExchange.Redis;
using Tsavorite.core;

namespace SplitFrozen.ActivationCache;

/// <summary>
/// A Redis-protocol server (Microsoft Garnet) within this process, reachable on the loopback interface only. It keeps
/// its entries in a folder: the newest in memory, all of them in a log on disk, recovered at the next start. It is saved
/// at intervals and when it is disposed.
/// </summary>
public sealed class EmbeddedCacheServer : IAsyncDisposable
{
    private const string Marker = "splitfrozen:cache";
    private const int SegmentBits = 26;
    private static readonly TimeSpan SaveDeadline = TimeSpan.FromMinutes(2);

    private readonly EmbeddedCacheOptions _options;
    private readonly FileStream _lock;
    private readonly GarnetServer _server;
    private readonly ConnectionMultiplexer _control;
    private bool _disposed;

    private EmbeddedCacheServer(EmbeddedCacheOptions options, FileStream folderLock, GarnetServer server, ConnectionMultiplexer control, string connectionString)
    {
        _options = options;
        _lock = folderLock;
        _server = server;
        _control = control;
        ConnectionString = connectionString;
    }

    /// <summary>Where the server listens, as StackExchange.Redis wants it: <c>127.0.0.1:port</c>.</summary>
    public string ConnectionString { get; }

    private static string SavedPath(EmbeddedCacheOptions options) => Path.Combine(options.Directory, "saved");

    /// <summary>Starts a server on a free port, with what the folder holds.</summary>
    /// <exception cref="CacheException">Another process uses the folder, or it cannot be made or read.</exception>
    public static async Task<EmbeddedCacheServer> StartAsync(EmbeddedCacheOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        options = options with { Directory = Path.GetFullPath(options.Directory) };
        var folderLock = Lock(options.Directory);
        GarnetServer? server = null;
        ConnectionMultiplexer? control = null;
        try
        {
            (server, var connectionString) = Listen(options);
            control = await CacheConnection.OpenAsync(connectionString, CertificateTrust.OfMachine, allowAdmin: true, cancellationToken).ConfigureAwait(false);
            var started = new EmbeddedCacheServer(options, folderLock, server, control, connectionString);
            await started.CheckRecoveredAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
            return started;
        }
        catch (Exception exception)
        {
            if (control is not null)
            {
                await control.DisposeAsync().ConfigureAwait(false);
            }

            server?.Dispose(deleteDir: false);
            await folderLock.DisposeAsync().ConfigureAwait(false);
            if (exception is OperationCanceledException or CacheException)
            {
                throw;
            }

            throw Unreadable(options, exception);
        }
    }

    /// <summary>Saves the state now: what was stored before this call survives a kill of the process.</summary>
    /// <exception cref="CacheException">The state could not be saved, for example because the disk is full.</exception>
    public async Task SaveAsync(CancellationToken cancellationToken)
    {
        var deadline = Environment.TickCount64 + (long)SaveDeadline.TotalMilliseconds;
        while (true)
        {
            try
            {
                await _control.GetDatabase().ExecuteAsync("SAVE").WaitAsync(cancellationToken).ConfigureAwait(false);
                break;
            }
            catch (RedisServerException) when (Environment.TickCount64 < deadline)
            {
                // A save at an interval is running; this one must come after it to hold what was stored meanwhile.
                await Task.Delay(TimeSpan.FromMilliseconds(20), cancellationToken).ConfigureAwait(false);
            }
            catch (RedisException exception)
            {
                throw new CacheException($"The cache in '{_options.Directory}' could not be saved: {exception.Message} Is the disk full?", exception);
            }
        }

        await File.WriteAllTextAsync(SavedPath(_options), "1\n", cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Saves the state and stops the server.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        try
        {
            await SaveAsync(CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            await _control.DisposeAsync().ConfigureAwait(false);
            _server.Dispose(deleteDir: false);
            await _lock.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static FileStream Lock(string directory)
    {
        try
        {
            Directory.CreateDirectory(directory);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CacheException($"The cache folder '{directory}' cannot be made: {exception.Message} Name another one by cache.directory.", exception);
        }

        try
        {
            return new FileStream(Path.Combine(directory, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CacheException(
                $"The cache folder '{directory}' is in use by another process, or may not be written. Wait for that run to end, or name another folder by cache.directory. ({exception.Message})", exception);
        }
    }

    private static (GarnetServer Server, string ConnectionString) Listen(EmbeddedCacheOptions options)
    {
        for (var attempt = 1; ; attempt++)
        {
            var port = FreePort();
            GarnetServer? server = null;
            try
            {
                server = new GarnetServer(ServerOptions(options, port));
                server.Start();
                return (server, $"127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}");
            }
            catch (SocketException) when (attempt < 5)
            {
                // Somebody took the port between the probe and the start.
                server?.Dispose(deleteDir: false);
            }
            catch
            {
                server?.Dispose(deleteDir: false);
                throw;
            }
        }
    }

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    private static GarnetServerOptions ServerOptions(EmbeddedCacheOptions options, int port) => new()
    {
        EndPoints = [new IPEndPoint(IPAddress.Loopback, port)],
        LogDir = options.Directory,
        CheckpointDir = options.Directory,
        EnableStorageTier = true,
        DeviceType = DeviceType.FileStream,
        LogMemorySize = Size(options.MemoryBytes),
        PageSize = "4m",
        SegmentSize = Size(1L << SegmentBits),
        ObjectLogSegmentSize = Size(1L << SegmentBits),
        IndexMemorySize = "8m",
        IndexMaxMemorySize = "128m",
        // A fold-over save writes only what is not on disk yet; a snapshot would write the memory every time.
        UseFoldOverCheckpoints = true,
        CheckpointFrequencySecs = Math.Max(1, (int)options.SaveInterval.TotalSeconds),
        Recover = true,
        FailOnRecoveryError = true,
        // Evicted entries leave gaps in the log; this moves what is left out of the oldest files, without loss.
        CompactionType = LogCompactionType.Lookup,
        CompactionFrequencySecs = 10,
        CompactionMaxSegments = (int)Math.Min(int.MaxValue, ((options.MaximumBytes + (options.MaximumBytes / 4)) >> SegmentBits) + 4),
        DisablePubSub = true,
        EnableLua = false,
        QuietMode = true,
    };

    private static string Size(long bytes) => bytes.ToString(CultureInfo.InvariantCulture);

    /// <summary>
    /// The server starts empty where it can read none of its saved states, instead of failing. A marker among the entries
    /// tells that apart from a fresh folder.
    /// </summary>
    private async Task CheckRecoveredAsync()
    {
        var database = _control.GetDatabase();
        if (!await database.KeyExistsAsync(Marker).ConfigureAwait(false))
        {
            if (File.Exists(SavedPath(_options)))
            {
                throw Unreadable(_options, innerException: null);
            }

            await database.StringSetAsync(Marker, "1").ConfigureAwait(false);
        }
    }

    private static CacheException Unreadable(EmbeddedCacheOptions options, Exception? innerException) => new(
        $"The cache in '{options.Directory}' cannot be read{(innerException is null ? "" : $" ({innerException.Message})")}. "
        + "It holds only activations and the account of unfinished runs: delete the folder and run again; devices then compute the activations anew.",
        innerException);
}
