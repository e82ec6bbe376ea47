using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace SplitFrozen.Comparison.Fleet.Tests.Costs;

/// <summary>
/// Counts the operations of every matrix product that really runs: the BLAS inside libtorch reports each call with its shape. The project's own
/// attention kernel is no BLAS call and so not among them.
/// </summary>
internal static partial class ProductCounter
{
    private static readonly nint s_library = FindLibrary();

    /// <summary>Sum of <c>2·m·n·k</c> over the products of some work.</summary>
    public static long Count(Action work)
    {
        var log = Path.GetTempFileName();
        try
        {
            var setFile = Marshal.GetDelegateForFunctionPointer<SetFile>(NativeLibrary.GetExport(s_library, "mkl_serv_verbose_output_file"));
            var setVerbose = Marshal.GetDelegateForFunctionPointer<SetVerbose>(NativeLibrary.GetExport(s_library, "MKL_Verbose"));
            Assert.Equal(0, setFile(log));
            setVerbose(1);
            try
            {
                work();
            }
            finally
            {
                setVerbose(0);
            }

            return File.ReadLines(log).Sum(Operations);
        }
        finally
        {
            File.Delete(log);
        }
    }

    private static long Operations(string line)
    {
        var call = Product().Match(line);
        if (call.Success)
        {
            return 2 * Number(call, "m") * Number(call, "n") * Number(call, "k");
        }

        call = VectorProduct().Match(line);
        if (call.Success)
        {
            return 2 * Number(call, "m") * Number(call, "n");
        }

        Assert.DoesNotContain("GEM", line, StringComparison.Ordinal);
        return 0;
    }

    private static long Number(Match match, string group) => long.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture);

    private static nint FindLibrary()
    {
        var path = File.ReadLines("/proc/self/maps").First(line => line.EndsWith("/libtorch_cpu.so", StringComparison.Ordinal));
        return NativeLibrary.Load(path[path.IndexOf('/', StringComparison.Ordinal)..]);
    }

    [GeneratedRegex(@"MKL_VERBOSE SGEMM\(.,.,(?<m>\d+),(?<n>\d+),(?<k>\d+),")]
    private static partial Regex Product();

    [GeneratedRegex(@"MKL_VERBOSE SGEMV\(.,(?<m>\d+),(?<n>\d+),")]
    private static partial Regex VectorProduct();

    private delegate int SetFile([MarshalAs(UnmanagedType.LPStr)] string path);

    private delegate int SetVerbose(int level);
}
