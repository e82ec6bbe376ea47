using System.Diagnostics;

namespace SplitFrozen.Processes.Tests;

/// <summary>One process of the cluster, which may be killed and started anew.</summary>
internal sealed class Service(string name, string project, string log, IReadOnlyDictionary<string, string> settings)
{
    private Process? _process;

    public string Name => name;

    public bool IsRunning => _process is { HasExited: false };

    public void Start() => _process = Programs.Start(project, project, log, settings);

    /// <summary>Kill -9: nothing in the process gets to run.</summary>
    public async Task KillAsync()
    {
        if (_process is { } process)
        {
            process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
            _process = null;
        }
    }

    /// <summary>SIGTERM, as an orchestrator ends a process.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> TerminateAsync(CancellationToken cancellationToken)
    {
        var process = _process!;
        using var kill = Process.Start("kill", ["-TERM", $"{process.Id}"]);
        await process.WaitForExitAsync(cancellationToken);
        var code = process.ExitCode;
        process.Dispose();
        _process = null;
        return code;
    }

    public string LogEnd() => File.Exists(log) ? string.Join('\n', File.ReadLines(log).TakeLast(25)) : "";
}
