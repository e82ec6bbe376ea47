using System.Diagnostics;

namespace SplitFrozen.TestServers;

/// <summary>One process of a cluster, which may be killed and started anew.</summary>
public sealed class Service
{
    private readonly string _program;
    private readonly string _log;
    private readonly IReadOnlyDictionary<string, string> _settings;
    private Process? _process;

    /// <summary>A process that does not run yet.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="program">Path of its assembly.</param>
    /// <param name="log">File for what it writes.</param>
    /// <param name="settings">Its environment variables.</param>
    public Service(string name, string program, string log, IReadOnlyDictionary<string, string> settings) =>
        (Name, _program, _log, _settings) = (name, program, log, settings);

    /// <summary>Its name within the cluster.</summary>
    public string Name { get; }

    /// <summary>True while the process is there.</summary>
    public bool IsRunning => _process is { HasExited: false };

    /// <summary>Processor time that the running process has used, user and system.</summary>
    /// <exception cref="InvalidOperationException">It does not run.</exception>
    public TimeSpan ProcessorTime => Refreshed().TotalProcessorTime;

    /// <summary>Most bytes of memory that the running process has had resident at once.</summary>
    /// <exception cref="InvalidOperationException">It does not run.</exception>
    public long PeakMemory => Refreshed().PeakWorkingSet64;

    /// <summary>Bytes of memory that the running process has resident.</summary>
    /// <exception cref="InvalidOperationException">It does not run.</exception>
    public long ResidentMemory => Refreshed().WorkingSet64;

    /// <summary>Starts the process.</summary>
    public void Start() => _process = Programs.Start(_program, _log, _settings);

    /// <summary>Kill -9: nothing in the process gets to run.</summary>
    public async Task KillAsync()
    {
        if (_process is { } process)
        {
            process.Kill();
            await process.WaitForExitAsync().ConfigureAwait(false);
            process.Dispose();
            _process = null;
        }
    }

    /// <summary>SIGTERM, as an orchestrator ends a process.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> TerminateAsync(CancellationToken cancellationToken)
    {
        var process = Refreshed();
        await ServerProcess.SignalAsync("TERM", process.Id, cancellationToken).ConfigureAwait(false);
        await process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
        var code = process.ExitCode;
        process.Dispose();
        _process = null;
        return code;
    }

    /// <summary>All that it wrote.</summary>
    public string Log() => File.Exists(_log) ? File.ReadAllText(_log) : "";

    /// <summary>The last lines that it wrote.</summary>
    public string LogEnd() => File.Exists(_log) ? string.Join('\n', File.ReadLines(_log).TakeLast(25)) : "";

    private Process Refreshed()
    {
        var process = _process ?? throw new InvalidOperationException($"{Name} does not run.");
        process.Refresh();
        return process;
    }
}
