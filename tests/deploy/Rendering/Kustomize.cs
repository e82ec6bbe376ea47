using System.Collections.Concurrent;
using System.Diagnostics;
using SplitFrozen.TestServers;

namespace SplitFrozen.Deploy.Tests.Rendering;

/// <summary>Renders an overlay as a cluster would be given it: by <c>kubectl kustomize</c>, or by <c>kustomize build</c>.</summary>
internal static class Kustomize
{
    private static readonly ConcurrentDictionary<string, Lazy<Manifests>> s_rendered = new(StringComparer.Ordinal);

    public static Manifests Render(string overlay)
    {
        var renderer = Found("kustomize", "build") ?? Found("kubectl", "kustomize");
        if (renderer is null && Environment.GetEnvironmentVariable("CI") is null)
        {
            Assert.Skip("Neither kustomize nor kubectl is installed: './test' as root installs one, or apt-get install kubernetes-client on Debian 13.");
        }

        Assert.True(renderer is not null, "Continuous integration must have kustomize or kubectl; ./test installs it.");
        return s_rendered.GetOrAdd(overlay, name => new(() => Run(renderer.Value, Path.Combine(Programs.Root, "deploy", "kubernetes", "overlays", name)))).Value;
    }

    private static (string Program, string Verb)? Found(string program, string verb) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, program))) ? (program, verb) : null;

    private static Manifests Run((string Program, string Verb) renderer, string folder)
    {
        using var process = Process.Start(new ProcessStartInfo(renderer.Program, [renderer.Verb, folder]) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false })!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();

        // Also a warning, such as one of a field that will go, is a fault.
        Assert.Equal("", error.GetAwaiter().GetResult());
        Assert.Equal(0, process.ExitCode);
        return Manifests.Parse(output);
    }
}
