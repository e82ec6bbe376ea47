using System.Xml.Linq;

namespace SplitFrozen.Architecture.Tests;

/// <summary>The projects of the repository with their references and packages, read from the project files.</summary>
internal sealed class ProjectGraph
{
    private readonly Dictionary<string, Project> _projects;

    private ProjectGraph(string root, Dictionary<string, Project> projects)
    {
        Root = root;
        _projects = projects;
    }

    public string Root { get; }

    /// <summary>All projects by folder, for example <c>engine/models</c>.</summary>
    public IReadOnlyDictionary<string, Project> Projects => _projects;

    public static ProjectGraph Read()
    {
        var root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "SplitFrozen.sln")))
        {
            root = Path.GetDirectoryName(root) ?? throw new InvalidOperationException("SplitFrozen.sln is above no parent folder of the test.");
        }

        var projects = new Dictionary<string, Project>(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(root, "*.csproj", SearchOption.AllDirectories))
        {
            var xml = XDocument.Load(file);
            var folder = Folder(root, Path.GetDirectoryName(file)!);
            var references = xml.Descendants("ProjectReference")
                .Select(e => Folder(root, Path.GetDirectoryName(Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, e.Attribute("Include")!.Value)))!));
            var packages = xml.Descendants("PackageReference").Select(e => e.Attribute("Include")!.Value);
            projects.Add(folder, new Project(Path.GetRelativePath(root, file).Replace('\\', '/'), [.. references], [.. packages]));
        }

        return new ProjectGraph(root, projects);
    }

    /// <summary>A project's folder and the folders of everything that it references, directly or not.</summary>
    public IReadOnlySet<string> Closure(string folder)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var open = new Stack<string>([folder]);
        while (open.TryPop(out var next))
        {
            if (seen.Add(next))
            {
                foreach (var reference in _projects[next].References)
                {
                    open.Push(reference);
                }
            }
        }

        return seen;
    }

    /// <summary>The packages that a project gets, its own and those of everything it references.</summary>
    public IReadOnlySet<string> PackageClosure(string folder) =>
        Closure(folder).SelectMany(f => _projects[f].Packages).ToHashSet(StringComparer.Ordinal);

    private static string Folder(string root, string path) => Path.GetRelativePath(root, path).Replace('\\', '/');

    internal sealed record Project(string File, string[] References, string[] Packages);
}
