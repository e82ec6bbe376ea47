using System.Globalization;
using System.Runtime.InteropServices;

namespace SplitFrozen.Torch;

/// <summary>
/// Gives back the pages of libtorch's file that loading has touched: relocations, symbols and the code of constructors, tens of megabytes that are
/// hardly needed again. The kernel reads a page anew where it is. Pages that were written belong to the process and stay.
/// </summary>
internal static class LoaderPages
{
    private const string Mappings = "/proc/self/smaps";

    private const string Library = "/libtorch_cpu.so";

    /// <summary>Does it, where the kernel gives an account of the process's mappings.</summary>
    internal static void Release()
    {
        if (!File.Exists(Mappings))
        {
            return;
        }

        string? header = null;
        foreach (var line in File.ReadAllLines(Mappings))
        {
            if (line.EndsWith(Library, StringComparison.Ordinal))
            {
                header = line;
            }
            else if (header is not null && line.StartsWith("Anonymous:", StringComparison.Ordinal))
            {
                // A mapping that holds no page of the process's own: what it shows is in the file.
                if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1] == "0" && header.Split(' ')[1][1] == '-')
                {
                    Release(header.AsSpan());
                }

                header = null;
            }
        }
    }

    // "7f0c1a000000-7f0c2f400000 r-xp 00000000 08:01 1234  /path"
    private static void Release(ReadOnlySpan<char> header)
    {
        const int DontNeed = 4;
        var range = header[..header.IndexOf(' ')];
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
