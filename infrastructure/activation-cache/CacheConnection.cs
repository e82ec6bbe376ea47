using System.ComponentModel.DataAnnotations;
using SplitFrozen.Contracts.Security;
using StackExchange.Redis;

namespace SplitFrozen.ActivationCache;

/// <summary>
/// The connections to one Redis-protocol server: one for activations and one for the ledger and counters, since large
/// values stall small ones that share their connection.
/// </summary>
public sealed class CacheConnection : IAsyncDisposable
{
    private CacheConnection(ConnectionMultiplexer blobs, ConnectionMultiplexer state)
    {
        Blobs = blobs;
        State = state;
    }

    /// <summary>For activations.</summary>
    internal ConnectionMultiplexer Blobs { get; }

    /// <summary>For small values.</summary>
    internal ConnectionMultiplexer State { get; }

    /// <summary>Connects to a server, and over TLS believes the authorities of this machine.</summary>
    /// <param name="connectionString">Its address, in the form of StackExchange.Redis; with <c>ssl=true</c> over TLS.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="CacheException">Nobody answers there.</exception>
    /// <exception cref="ValidationException">The text cannot be read.</exception>
    public static Task<CacheConnection> ConnectAsync(string connectionString, CancellationToken cancellationToken) =>
        ConnectAsync(connectionString, CertificateTrust.OfMachine, cancellationToken);

    /// <summary>Connects to a server.</summary>
    /// <param name="connectionString">Its address, in the form of StackExchange.Redis; with <c>ssl=true</c> over TLS.</param>
    /// <param name="trust">Whom a connection over TLS believes.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="CacheException">Nobody answers there.</exception>
    /// <exception cref="ValidationException">The text cannot be read.</exception>
    public static async Task<CacheConnection> ConnectAsync(string connectionString, CertificateTrust trust, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(trust);
        var blobs = await OpenAsync(connectionString, trust, allowAdmin: false, cancellationToken).ConfigureAwait(false);
        try
        {
            return new CacheConnection(blobs, await OpenAsync(connectionString, trust, allowAdmin: false, cancellationToken).ConfigureAwait(false));
        }
        catch
        {
            await blobs.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Blobs.DisposeAsync().ConfigureAwait(false);
        await State.DisposeAsync().ConfigureAwait(false);
    }

    private static ConfigurationOptions Parse(string connectionString)
    {
        try
        {
            return ConfigurationOptions.Parse(connectionString);
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or OverflowException)
        {
#pragma warning disable MA0054 // The library repeats the part that it stumbled over, which may be of a password: neither it nor the value is told.
            throw new ValidationException(
                "The address of the cache server cannot be read; expected host:6379,password=… (environment: Transport__Redis). What stands behind a comma is a setting of its own, so a password has none.");
#pragma warning restore MA0054
        }
    }

    internal static async Task<ConnectionMultiplexer> OpenAsync(string connectionString, CertificateTrust trust, bool allowAdmin, CancellationToken cancellationToken)
    {
        var options = Parse(connectionString);
        options.AllowAdmin = allowAdmin;
        options.CertificateValidation += trust.Believes;
        options.AsyncTimeout = options.SyncTimeout = 60_000;

        // A server that was away is asked every second: the library's own policy waits longer after every failure, up to a minute.
        options.ReconnectRetryPolicy = new LinearRetry(1000);
        try
        {
            return await ConnectionMultiplexer.ConnectAsync(options).WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (RedisConnectionException exception)
        {
            throw new CacheException($"No cache server answers at '{string.Join(",", options.EndPoints)}': {exception.Message}", exception);
        }
    }
}
