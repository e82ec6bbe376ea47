using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace SplitFrozen.TestServers;

/// <summary>A server process of a test: started with its own environment, waited for, stopped by signal or killed with all its children.</summary>
internal sealed class ServerProcess : IDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _output = new();

    private ServerProcess(Process process)
    {
        _process = process;
        process.OutputDataReceived += Keep;
        process.ErrorDataReceived += Keep;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>What it wrote so far.</summary>
    public string Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToString();
            }
        }
    }

    public static ServerProcess Start(string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(file, arguments) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[name] = value;
        }

        return new ServerProcess(Process.Start(start)!);
    }

    /// <summary>Runs a command to its end and returns what it wrote.</summary>
    public static async Task<string> RunAsync(string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string> environment, CancellationToken cancellationToken)
    {
        using var process = Start(file, arguments, environment);
        await process._process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
        return process._process.ExitCode == 0
            ? process.Output
            : throw new InvalidOperationException($"{Path.GetFileName(file)} ended with {process._process.ExitCode}: {process.Output}");
    }

    /// <summary>The first file of this name in the search path, or null.</summary>
    public static string? Find(string name) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
        .Concat(["/usr/sbin", "/usr/local/sbin"]).Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    /// <summary>Loopback ports that nobody listens on at the moment, all different.</summary>
    public static int[] FreePorts(int count)
    {
        var probes = Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0)).ToArray();
        Array.ForEach(probes, probe => probe.Start());
        var ports = Array.ConvertAll(probes, probe => ((IPEndPoint)probe.LocalEndpoint).Port);
        Array.ForEach(probes, probe => probe.Dispose());
        return ports;
    }

    /// <summary>Asks until the answer is yes; throws when the process ends before, or the deadline is over.</summary>
    public async Task WaitUntilAsync(Func<CancellationToken, Task<bool>> isReady, TimeSpan limit, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(limit);
        try
        {
            while (!await isReady(deadline.Token).ConfigureAwait(false))
            {
                if (HasExited)
                {
                    throw new InvalidOperationException($"The server ended at its start: {Output}");
                }

                await Task.Delay(50, deadline.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"The server was not ready after {limit}: {Output}", exception);
        }
    }

    /// <summary>Sends a signal to another process.</summary>
    public static Task SignalAsync(string signal, int processId, CancellationToken cancellationToken) =>
        RunAsync("/bin/kill", [$"-{signal}", $"{processId}"], new Dictionary<string, string>(), cancellationToken);

    public Task WaitForExitAsync(CancellationToken cancellationToken) => _process.WaitForExitAsync(cancellationToken);

    /// <summary>Kills it and all its children at once (SIGKILL).</summary>
    public async Task KillAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
        }

        await _process.WaitForExitAsync().ConfigureAwait(false);
    }

    public void Dispose() => _process.Dispose();

    private void Keep(object sender, DataReceivedEventArgs line)
    {
        lock (_output)
        {
            // A broker that fails writes long crash reports; its first lines say why.
            if (line.Data is not null && _output.Length < 1 << 16)
            {
                _output.AppendLine(line.Data);
            }
        }
    }
}
