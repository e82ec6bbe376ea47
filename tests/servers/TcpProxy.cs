using System.Net;
using System.Net.Sockets;

namespace SplitFrozen.TestServers;

/// <summary>
/// A proxy on a loopback port before a server, for faults on the wire: it delays, cuts, or swallows what passes, and goes on
/// again. Thread-safe.
/// </summary>
public sealed class TcpProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private readonly HashSet<TcpClient> _open = [];
    private readonly string _host;
    private readonly int _port;
    private readonly Task _accepting;
    private TaskCompletionSource _flowing = Completed();
    private bool _refusing;

    /// <summary>Listens before a server.</summary>
    /// <param name="port">The server's port.</param>
    /// <param name="host">The server's host.</param>
    public TcpProxy(int port, string host = "127.0.0.1")
    {
        (_host, _port) = (host, port);
        _listener.Start();
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        _accepting = AcceptAsync();
    }

    /// <summary>The port to connect to.</summary>
    public int Port { get; }

    /// <summary>Every piece waits this long before it goes on, in both directions.</summary>
    public TimeSpan Delay { get; set; }

    /// <summary>Connections made through it so far.</summary>
    public int Accepted { get; private set; }

    /// <summary>Closes all open connections; new ones are taken.</summary>
    public void Cut()
    {
        lock (_gate)
        {
            foreach (var client in _open)
            {
                // Without lingering the peers see a reset, as after a crash.
                client.LingerState = new LingerOption(true, 0);
                client.Dispose();
            }

            _open.Clear();
        }
    }

    /// <summary>Closes all open connections, and each new one at once, until <see cref="Resume"/>.</summary>
    public void Refuse()
    {
        lock (_gate)
        {
            _refusing = true;
        }

        Cut();
    }

    /// <summary>Connections stay open, but nothing passes until <see cref="Resume"/>: half-open, as seen by both peers.</summary>
    public void Blackhole()
    {
        lock (_gate)
        {
            if (_flowing.Task.IsCompleted)
            {
                _flowing = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }
    }

    /// <summary>Ends <see cref="Refuse"/> and <see cref="Blackhole"/>; what was held back passes now.</summary>
    public void Resume()
    {
        lock (_gate)
        {
            _refusing = false;
            _flowing.TrySetResult();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _listener.Dispose();
        Cut();
        await _accepting.ConfigureAwait(false);
    }

    private static TaskCompletionSource Completed()
    {
        var source = new TaskCompletionSource();
        source.SetResult();
        return source;
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var client = await _listener.AcceptTcpClientAsync(_stop.Token).ConfigureAwait(false);
                _ = ServeAsync(client);
            }
            catch (Exception exception) when (exception is OperationCanceledException or ObjectDisposedException or SocketException)
            {
                // Ends with the loop's condition.
            }
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        var server = new TcpClient { NoDelay = true };
        client.NoDelay = true;
        try
        {
            lock (_gate)
            {
                Accepted++;
                if (_refusing || !_open.Add(client) || !_open.Add(server))
                {
                    return;
                }
            }

            await server.ConnectAsync(_host, _port, _stop.Token).ConfigureAwait(false);
            await Task.WhenAny(PumpAsync(client, server), PumpAsync(server, client)).ConfigureAwait(false);
        }
        catch (Exception exception) when (IsEnd(exception))
        {
            // Either end is gone: so is the other.
        }
        finally
        {
            lock (_gate)
            {
                _open.Remove(client);
                _open.Remove(server);
            }

            client.Dispose();
            server.Dispose();
        }
    }

    private async Task PumpAsync(TcpClient from, TcpClient to)
    {
        try
        {
            var buffer = new byte[64 << 10];
            while (await from.GetStream().ReadAsync(buffer, _stop.Token).ConfigureAwait(false) is > 0 and var count)
            {
                Task flowing;
                lock (_gate)
                {
                    flowing = _flowing.Task;
                }

                await flowing.WaitAsync(_stop.Token).ConfigureAwait(false);
                if (Delay > TimeSpan.Zero)
                {
                    await Task.Delay(Delay, _stop.Token).ConfigureAwait(false);
                }

                await to.GetStream().WriteAsync(buffer.AsMemory(0, count), _stop.Token).ConfigureAwait(false);
            }
        }
        catch (Exception exception) when (IsEnd(exception))
        {
            // The caller closes both.
        }
    }

    private static bool IsEnd(Exception exception) =>
        exception is OperationCanceledException or ObjectDisposedException or InvalidOperationException or IOException or SocketException;
}
