using System.Reflection;
using System.Xml.Linq;
using SplitFrozen.Deploy.Tests.Rendering;
using SplitFrozen.TestServers;
using SplitFrozen.Torch;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>What can be said of images that nobody built: sources are there and not ignored, projects and programs have these names, and nobody is root.</summary>
internal static class ContainerfileCheck
{
    private const string Packages = "/packages/";

    public static IEnumerable<string> Faults(Containerfile file) =>
        [.. BaseFaults(file), .. file.Stages.SelectMany(stage => CopyFaults(file, stage)), .. ProjectFaults(file), .. LibtorchFaults(file), .. ServiceFaults(file)];

    private static IEnumerable<string> BaseFaults(Containerfile file) =>
        file.Stages.Where(stage => file.Stages.All(other => other.Name != stage.Base) && !ImageCheck.IsPinned(stage.Base)).Select(stage => $"{stage.Base} has no version.");

    private static IEnumerable<string> CopyFaults(Containerfile file, Containerfile.Stage stage)
    {
        var sent = File.ReadAllLines(Path.Combine(Programs.Root, "deploy", "Containerfile.dockerignore")).Where(line => line.StartsWith('!')).Select(line => line[1..]).ToArray();
        foreach (var (_, arguments) in stage.Instructions.Where(instruction => instruction.Word == "COPY"))
        {
            var from = arguments.FirstOrDefault(argument => argument.StartsWith("--from=", StringComparison.Ordinal))?["--from=".Length..];
            var sources = arguments.Where(argument => !argument.StartsWith("--", StringComparison.Ordinal)).ToArray()[..^1];
            if (from is not null)
            {
                var maker = file.Stages.SingleOrDefault(other => other.Name == from);
                foreach (var source in sources.Where(source => maker?.Instructions.Any(made => made.Word == "RUN" && made.Arguments.Any(word => word.StartsWith(source, StringComparison.Ordinal))) != true))
                {
                    yield return $"{stage.Name} copies {source}, which {from} does not make.";
                }

                continue;
            }

            foreach (var source in sources)
            {
                if (!Path.Exists(Path.Combine(Programs.Root, source)))
                {
                    yield return $"{stage.Name} copies {source}, which is not there.";
                }
                else if (!sent.Contains(source, StringComparer.Ordinal))
                {
                    yield return $"{stage.Name} copies {source}, which the engine is not sent.";
                }
            }
        }
    }

    /// <summary>A published project finds all that it references among the copied folders.</summary>
    private static IEnumerable<string> ProjectFaults(Containerfile file)
    {
        var copied = file.Stages.SelectMany(stage => stage.Instructions).Where(instruction => instruction.Word == "COPY").SelectMany(instruction => instruction.Arguments).ToHashSet(StringComparer.Ordinal);
        var open = new Stack<string>(file.Published.Values.Where(project => Directory.Exists(Path.Combine(Programs.Root, project))));
        foreach (var gone in file.Published.Values.Except(open, StringComparer.Ordinal))
        {
            yield return $"{gone} is published, but not there.";
        }

        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (open.TryPop(out var project))
        {
            if (!seen.Add(project))
            {
                continue;
            }

            if (!copied.Contains(project.Split('/')[0]))
            {
                yield return $"{project} is needed to build, but not copied.";
            }

            var folder = Path.Combine(Programs.Root, project);
            foreach (var reference in XDocument.Load(ProjectFile(project)).Descendants("ProjectReference").Select(element => element.Attribute("Include")!.Value))
            {
                open.Push(Path.GetRelativePath(Programs.Root, Path.GetDirectoryName(Path.GetFullPath(Path.Combine(folder, reference)))!));
            }
        }
    }

    /// <summary>The native files are in the packages that this build was restored with.</summary>
    private static IEnumerable<string> LibtorchFaults(Containerfile file)
    {
        var folders = typeof(LibtorchLoader).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
            .ToDictionary(attribute => attribute.Key == "TorchSharpPackage" ? "torchsharp" : attribute.Key == "LibtorchPackage" ? "libtorch-cpu-linux-x64" : attribute.Key, attribute => attribute.Value!, StringComparer.Ordinal);
        var sources = file.Stages.SelectMany(stage => stage.Instructions).SelectMany(instruction => instruction.Arguments).Where(word => word.StartsWith(Packages, StringComparison.Ordinal)).ToArray();
        foreach (var source in sources)
        {
            var parts = source[Packages.Length..].Split('/', 3);
            if (!folders.TryGetValue(parts[0], out var package) || parts[1] != "*" || Directory.GetFiles(Path.Combine(package, Path.GetDirectoryName(parts[2])!), Path.GetFileName(parts[2])).Length != 1)
            {
                yield return $"{source} is not one file of the package.";
            }
        }

        string[] needed = ["libLibTorchSharp.so", "libtorch.so", "libtorch_cpu.so", "libc10.so", "libgomp-*.so.1"];
        foreach (var missing in needed.Except(sources.Select(source => Path.GetFileName(source)), StringComparer.Ordinal))
        {
            yield return $"{missing} is loaded by TorchSharp, but not copied.";
        }
    }

    private static IEnumerable<string> ServiceFaults(Containerfile file)
    {
        foreach (var service in Settings.ServiceSettings.All.Keys)
        {
            if (file.Stages.SingleOrDefault(stage => stage.Name == service) is not { } stage)
            {
                yield return $"No stage makes {service}.";
                continue;
            }

            var lineage = file.Lineage(stage).ToArray();
            if (lineage.LastOrDefault(instruction => instruction.Word == "USER").Arguments is not ["1654"])
            {
                yield return $"{service} does not run as user 1654.";
            }

            var copied = lineage.Where(instruction => instruction.Word == "COPY").SelectMany(instruction => instruction.Arguments).FirstOrDefault(file.Published.ContainsKey);
            var program = $"{Path.GetFileNameWithoutExtension(ProjectFile("services/" + service))}.dll";
            if (copied is null || file.Published[copied] != $"services/{service}")
            {
                yield return $"{service} is not made of services/{service}.";
            }

            if (string.Join(' ', lineage.LastOrDefault(instruction => instruction.Word == "ENTRYPOINT").Arguments ?? []) != $"[\"dotnet\", \"{program}\"]")
            {
                yield return $"{service} does not start {program}.";
            }
        }
    }

    private static string ProjectFile(string folder) => Directory.GetFiles(Path.Combine(Programs.Root, folder), "*.csproj").Single();
}
