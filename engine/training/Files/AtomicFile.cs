using System.Runtime.InteropServices;

namespace SplitFrozen.Training.Files;

/// <summary>Writes a file so that a reader, or a crash at any moment, sees the old content or the new one, never a part.</summary>
public static class AtomicFile
{
    /// <summary>Suffix of the file under which the content is written before it takes its name.</summary>
    public const string TemporarySuffix = ".tmp";

    /// <summary>Writes to a temporary file beside the target, flushes it to the disk and renames it.</summary>
    /// <param name="path">The file to write or replace.</param>
    /// <param name="write">Writes the content.</param>
    /// <param name="open">Opens the temporary file; null for an ordinary file stream.</param>
    public static void Write(string path, Action<Stream> write, Func<string, Stream>? open = null)
    {
        var temporary = path + TemporarySuffix;
        try
        {
            using (var stream = open?.Invoke(temporary) ?? new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20))
            {
                write(stream);
                stream.Flush();
                (stream as FileStream)?.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }

        SyncFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    // A rename survives a power cut only when the folder is flushed too. .NET opens no folders, so this asks the C library;
    // where that fails the file is whole all the same, only perhaps under its old content.
    private static void SyncFolder(string folder)
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        var descriptor = Native.Open(folder, 0);
        if (descriptor >= 0)
        {
            _ = Native.Sync(descriptor);
            _ = Native.Close(descriptor);
        }
    }

    private static class Native
    {
        [DllImport("libc", EntryPoint = "open", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        internal static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

        [DllImport("libc", EntryPoint = "fsync")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        internal static extern int Sync(int descriptor);

        [DllImport("libc", EntryPoint = "close")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        internal static extern int Close(int descriptor);
    }
}
