using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>
/// One connection to the broker, opened when it is first needed and again after it was lost. The client's own recovery is
/// off: whoever holds a channel sees it close and knows that its deliveries are stale. Thread-safe.
/// </summary>
internal sealed class RabbitMqConnection(ConnectionFactory factory, string name) : IAsyncDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private IConnection? _connection;
    private bool _disposed;

    /// <summary>Whether it stands at present.</summary>
    public bool IsOpen => _connection is { IsOpen: true };

    public static ConnectionFactory Factory(RabbitMqOptions options)
    {
        var factory = new ConnectionFactory
        {
            Uri = new Uri(options.ConnectionString),
            AutomaticRecoveryEnabled = false,
            TopologyRecoveryEnabled = false,
            RequestedHeartbeat = options.Heartbeat,
            RequestedConnectionTimeout = TimeSpan.FromSeconds(10),

            // The broker's own limit decides. A smaller one here would close the connection at each delivery of an oversized
            // message, which then comes again for ever; so it is taken and refused as a message.
            MaxInboundMessageBodySize = 512u << 20,
        };
        factory.Ssl.CertificateValidationCallback = options.Trust.Believes;
        return factory;
    }

    /// <summary>Opens a channel, and the connection first where that is needed.</summary>
    public async Task<IChannel> OpenChannelAsync(CreateChannelOptions? options, CancellationToken cancellationToken)
    {
        try
        {
            var connection = await OpenAsync(cancellationToken).ConfigureAwait(false);
            return await connection.CreateChannelAsync(options, cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException("The broker does not answer.", exception);
        }
    }

    /// <summary>Whether there is a queue of this name.</summary>
    public async Task<bool> QueueExistsAsync(string queue, CancellationToken cancellationToken)
    {
        var channel = await OpenChannelAsync(null, cancellationToken).ConfigureAwait(false);
        await using (channel.ConfigureAwait(false))
        {
            try
            {
                await channel.QueueDeclarePassiveAsync(queue, cancellationToken).ConfigureAwait(false);
                return true;
            }
            catch (OperationInterruptedException exception) when (RabbitMqFailures.HasCode(exception, Constants.NotFound))
            {
                return false;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _gate.WaitAsync().ConfigureAwait(false);
        try
        {
            _disposed = true;
            await CloseAsync().ConfigureAwait(false);
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task<IConnection> OpenAsync(CancellationToken cancellationToken)
    {
        if (_connection is { IsOpen: true } open)
        {
            return open;
        }

        await _gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_connection is { IsOpen: true } opened)
            {
                return opened;
            }

            await CloseAsync().ConfigureAwait(false);
            return _connection = await factory.CreateConnectionAsync(name, cancellationToken).ConfigureAwait(false);
        }
        catch (BrokerUnreachableException exception) when (RabbitMqFailures.Refusal(exception, factory) is { } reason)
        {
            throw new BrokerRefusedException(reason, exception);
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task CloseAsync()
    {
        if (_connection is { } connection)
        {
            _connection = null;
            await connection.AbortAsync(TimeSpan.FromSeconds(2)).ConfigureAwait(false);
            await connection.DisposeAsync().ConfigureAwait(false);
        }
    }
}
