using System.Diagnostics;
using SplitFrozen.TestServers;

namespace SplitFrozen.Bench;

/// <summary>The device worker as its container image has it: compiled ahead of time, as <c>deploy/Containerfile</c> publishes it.</summary>
internal static class PublishedWorker
{
    /// <summary>Project of the device worker.</summary>
    public const string Project = "SplitFrozen.DeviceWorker";

    /// <summary>Publishes it into a folder.</summary>
    /// <exception cref="InvalidOperationException">It did not succeed; the message has what the command wrote.</exception>
    public static async Task MakeAsync(string folder, CancellationToken cancellationToken)
    {
        string[] arguments =
        [
            "publish", Path.Combine(Programs.Root, "services", "device-worker"), "--configuration", "Release", "--runtime", "linux-x64", "--no-self-contained",
            "--property:PublishReadyToRun=true", "--output", folder, "--verbosity", "quiet", "--nologo",
        ];
        using var process = Process.Start(new ProcessStartInfo("dotnet", arguments) { RedirectStandardOutput = true, UseShellExecute = false })!;
        var written = await process.StandardOutput.ReadToEndAsync(cancellationToken).ConfigureAwait(false);
        await process.WaitForExitAsync(cancellationToken).ConfigureAwait(false);
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"dotnet {string.Join(' ', arguments)} ended with {process.ExitCode}:\n{written}");
        }
    }
}
