using RabbitMQ.Client;

namespace SplitFrozen.Messaging.ControlBus;

/// <summary>Deletes the queues of ended subscriptions; the bus library stops its consumers but leaves queues where they are.</summary>
internal sealed class QueueRemoval(ControlBusOptions options) : IAsyncDisposable
{
    private readonly SemaphoreSlim _turn = new(1);
    private IConnection? _connection;

    /// <summary>Deletes a queue; its exchange goes with it. One that is not there is no fault.</summary>
    public async Task RemoveAsync(string queue, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (_connection is not { IsOpen: true })
            {
                var factory = new ConnectionFactory
                {
                    Uri = new Uri(options.ConnectionString),
                    ClientProvidedName = $"{options.ProcessName} (ends subscriptions)",
                    AutomaticRecoveryEnabled = false,
                };
                factory.Ssl.CertificateValidationCallback = options.Trust.Believes;
                var old = _connection;
                _connection = await factory.CreateConnectionAsync(cancellationToken).ConfigureAwait(false);
                if (old is not null)
                {
                    await old.DisposeAsync().ConfigureAwait(false);
                }
            }

            var channel = await _connection.CreateChannelAsync(cancellationToken: cancellationToken).ConfigureAwait(false);
            await using var _ = channel.ConfigureAwait(false);
            await channel.QueueDeleteAsync(queue, ifUnused: false, ifEmpty: false, cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _turn.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_connection is not null)
        {
            await _connection.DisposeAsync().ConfigureAwait(false);
        }

        _turn.Dispose();
    }
}
