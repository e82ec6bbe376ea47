using System.Diagnostics;

namespace SplitFrozen.Processes.Tests;

/// <summary>A file system of a few megabytes in memory, mounted over a folder.</summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private readonly string _folder;

    private SmallDisk(string folder) => _folder = folder;

    /// <summary>Mounts one; null where that is not allowed.</summary>
    public static async Task<SmallDisk?> MountAsync(string folder, string size, CancellationToken cancellationToken) =>
        await RunAsync("mount", ["-t", "tmpfs", "-o", $"size={size}", "tmpfs", folder], cancellationToken) == 0 ? new SmallDisk(folder) : null;

    /// <summary>Writes a file until there is no room left.</summary>
    public static async Task FillAsync(string file, CancellationToken cancellationToken)
    {
        await using var stream = new FileStream(file, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
        var block = new byte[4096];
        try
        {
            while (true)
            {
                await stream.WriteAsync(block, cancellationToken);
            }
        }
        catch (IOException)
        {
            // Full.
        }
    }

    public async ValueTask DisposeAsync() => await RunAsync("umount", ["--lazy", _folder], CancellationToken.None);

    private static async Task<int> RunAsync(string program, string[] arguments, CancellationToken cancellationToken)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, UseShellExecute = false })!;
        await process.WaitForExitAsync(cancellationToken);
        return process.ExitCode;
    }
}
