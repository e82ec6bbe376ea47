using System.Globalization;
using System.Runtime.InteropServices;

namespace SplitFrozen.Torch;

/// <summary>
/// Gives back the pages of program files that a start has touched and hardly needs again: relocations, symbols, constructors, code that runs once. They
/// are tens of megabytes of a process's resident memory. The kernel shows a page anew where it is used; pages that were written belong to the
/// process and stay.
/// </summary>
public static class ProgramPages
{
    private const string Mappings = "/proc/self/smaps";

    /// <summary>Does it, where the kernel gives an account of the process's mappings.</summary>
    /// <param name="file">Name of one file; null for all.</param>
    public static void Release(string? file = null)
    {
        if (!File.Exists(Mappings))
        {
            return;
        }

        string? mapping = null;
        foreach (var line in File.ReadAllLines(Mappings))
        {
            var path = line.IndexOf(" /", StringComparison.Ordinal);
            if (path >= 0)
            {
                mapping = IsClean(line, line[(path + 1)..], file) ? line : null;
            }
            else if (mapping is not null && line.StartsWith("Anonymous:", StringComparison.Ordinal))
            {
                // No page of the process's own: all that the mapping shows is in the file.
                if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1] == "0")
                {
                    Release(mapping.AsSpan());
                }

                mapping = null;
            }
        }
    }

    // "7f0c1a000000-7f0c2f400000 r-xp 00000000 08:01 1234  /path": private, not writable, of a file.
    private static bool IsClean(string line, string path, string? file) =>
        line.Split(' ')[1] is ['r', '-', _, 'p'] && !path.StartsWith("/memfd:", StringComparison.Ordinal) && (file is null || Path.GetFileName(path) == file);

    private static void Release(ReadOnlySpan<char> mapping)
    {
        const int DontNeed = 4;
        var range = mapping[..mapping.IndexOf(' ')];
        var dash = range.IndexOf('-');
        var begin = nuint.Parse(range[..dash], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        var end = nuint.Parse(range[(dash + 1)..], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        _ = Native.Advise(begin, end - begin, DontNeed);
    }

    private static class Native
    {
        [DllImport("libc", EntryPoint = "madvise", ExactSpelling = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        internal static extern int Advise(nuint address, nuint length, int advice);
    }
}
