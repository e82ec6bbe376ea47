using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;

namespace SplitFrozen.Bench;

/// <summary>What a figure was measured on, and how much of it the measurement had. Linux.</summary>
internal static class Machine
{
    private const double TicksPerSecond = 100;

    /// <summary>Processor, cores and runtime, one line.</summary>
    public static string Description
    {
        get
        {
            var model = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim();
            return $"{Environment.ProcessorCount} cores of {model ?? "an unnamed processor"}, {RuntimeInformation.FrameworkDescription}";
        }
    }

    /// <summary>The first line that a program prints about its version; "unknown" where it cannot be started.</summary>
    public static Task<string> VersionOfAsync(string program) => FirstLineAsync(program, ["--version"]);

    private static async Task<string> FirstLineAsync(string program, string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, UseShellExecute = false })!;
            var text = await process.StandardOutput.ReadToEndAsync().ConfigureAwait(false);
            await process.WaitForExitAsync().ConfigureAwait(false);
            return text.Split('\n')[0].Trim() is { Length: > 0 } line ? line : "unknown";
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "unknown";
        }
    }

    /// <summary>Version of the assembly that a type is in.</summary>
    public static string VersionOf(Type type) =>
        type.Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "unknown";

    /// <summary>Version of a Debian package that is installed; "unknown" elsewhere.</summary>
    public static Task<string> PackageVersionAsync(string package) => FirstLineAsync("dpkg-query", ["--show", "--showformat=${Version}", package]);

    /// <summary>Begins to watch who uses the processors.</summary>
    public static Share Watch() => new();

    /// <summary>Median of some figures; the upper one of two in the middle.</summary>
    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }

    /// <summary>Seconds in which the cores were busy, or taken by another machine of the host: all of them, and those of this process and its descendants.</summary>
    private static (double All, double Own) BusySeconds()
    {
        var fields = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1)
            .Select(text => double.Parse(text, CultureInfo.InvariantCulture)).ToArray();

        // user nice system idle iowait irq softirq steal
        return ((fields[..8].Sum() - fields[3] - fields[4]) / TicksPerSecond, OwnTicks() / TicksPerSecond);
    }

    private static double OwnTicks()
    {
        var processes = new Dictionary<int, (int Parent, double Ticks)>();
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(folder), CultureInfo.InvariantCulture, out var id) && Stat(folder) is { } stat)
            {
                processes[id] = stat;
            }
        }

        return processes.Keys.Where(IsOwn).Sum(id => processes[id].Ticks);

        bool IsOwn(int id)
        {
            while (id != Environment.ProcessId && processes.TryGetValue(id, out var process))
            {
                id = process.Parent;
            }

            return id == Environment.ProcessId;
        }
    }

    private static (int Parent, double Ticks)? Stat(string folder)
    {
        try
        {
            // The program's name, in brackets, may hold blanks. Four times: user and system, its own and those of children that have ended.
            var text = File.ReadAllText(Path.Combine(folder, "stat"));
            var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
            return (int.Parse(fields[1], CultureInfo.InvariantCulture), fields[11..15].Sum(ticks => double.Parse(ticks, CultureInfo.InvariantCulture)));
        }
        catch (IOException)
        {
            // It has ended meanwhile.
            return null;
        }
    }

    /// <summary>The processors from a moment on.</summary>
    internal sealed class Share
    {
        private readonly Stopwatch _clock = Stopwatch.StartNew();
        private readonly (double All, double Own) _start = BusySeconds();

        /// <summary>
        /// Share of the processors, up to now, that this process and its descendants had or could have had: all but what others used. Below
        /// 95 % the machine was busy.
        /// </summary>
        public double CpuHad()
        {
            var (all, own) = BusySeconds();
            var others = Math.Max(0, all - _start.All - (own - _start.Own));
            return 1 - Math.Min(1, others / (_clock.Elapsed.TotalSeconds * Environment.ProcessorCount));
        }
    }
}
