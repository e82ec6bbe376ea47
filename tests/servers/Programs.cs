using System.Diagnostics;

namespace SplitFrozen.TestServers;

/// <summary>The programs as they were built beside the tests.</summary>
public static class Programs
{
    /// <summary>The repository's root.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>Starts one, by the path of its assembly; its output goes to a file.</summary>
    internal static Process Start(string program, string log, IReadOnlyDictionary<string, string> environment)
    {
        var start = new ProcessStartInfo("/bin/sh")
        {
            // The shell only redirects: exec leaves the program itself as the process that is signalled.
            ArgumentList = { "-c", "exec dotnet \"$1\" >>\"$LOG\" 2>&1", "sh", program },
            WorkingDirectory = Path.GetTempPath(),
        };
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        start.Environment["LOG"] = log;
        return Process.Start(start)!;
    }

    /// <summary>Runs the command line to its end.</summary>
    public static Task<(int Code, string Output, string Error)> CommandAsync(
        IReadOnlyDictionary<string, string> environment, CancellationToken cancellationToken, params string[] arguments) =>
        RunAsync("SplitFrozen.Cli", "splitfrozen", environment, cancellationToken, arguments);

    /// <summary>Runs a program to its end.</summary>
    /// <param name="project">Its project, for example <c>SplitFrozen.Coordinator</c>.</param>
    /// <param name="assembly">Its assembly.</param>
    /// <param name="environment">More environment variables.</param>
    /// <param name="cancellationToken">Kills it.</param>
    /// <param name="arguments">Its arguments.</param>
    public static async Task<(int Code, string Output, string Error)> RunAsync(
        string project, string assembly, IReadOnlyDictionary<string, string> environment, CancellationToken cancellationToken, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Built(project, assembly), .. arguments])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false, WorkingDirectory = Path.GetTempPath(),
        };
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        var error = process.StandardError.ReadToEndAsync(cancellationToken);
        try
        {
            await process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw;
        }

        return (process.ExitCode, await output.ConfigureAwait(false), await error.ConfigureAwait(false));
    }

    /// <summary>Path of an assembly as it was built beside the tests.</summary>
    public static string Built(string project, string assembly) => Path.Combine(Root, "artifacts", "bin", project, "release", assembly + ".dll");

    private static string FindRoot()
    {
        var root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "SplitFrozen.sln")))
        {
            root = Path.GetDirectoryName(root) ?? throw new InvalidOperationException("SplitFrozen.sln is above no parent folder of the test.");
        }

        return root;
    }
}
