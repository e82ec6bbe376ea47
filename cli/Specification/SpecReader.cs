using SplitFrozen.Contracts.RunSpecification;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace SplitFrozen.Cli.Specification;

/// <summary>A run spec as read: its paths are absolute, its values have their types, but nothing was opened yet.</summary>
/// <param name="Spec">The spec; where there are faults, values with a fault keep their defaults.</param>
/// <param name="Faults">All faults; empty when the spec is good.</param>
/// <param name="File">The spec file as the user named it.</param>
/// <param name="Origins">Where each value stands, by YAML path.</param>
internal sealed record SpecReading(RunSpec Spec, IReadOnlyList<SpecFault> Faults, string File, IReadOnlyDictionary<string, string> Origins)
{
    /// <summary>
    /// The same reading with the faults of a validator added, each at the line of its value, or of the section that lacks
    /// it. A value that could not be read is not reported again.
    /// </summary>
    public SpecReading With(IEnumerable<RunSpecFault> faults)
    {
        var unread = Faults.Select(fault => fault.Path).ToHashSet(StringComparer.Ordinal);
        var added = faults
            .Where(fault => !Ancestors(fault.Path).Any(unread.Contains))
            .Select(fault => new SpecFault(fault.Path, OriginOf(fault.Path), fault.Message));
        return this with { Faults = [.. Faults, .. added] };
    }

    /// <summary>The spec, or one error with all faults.</summary>
    /// <exception cref="InputException">There are faults.</exception>
    public RunSpec Required() => Faults.Count == 0 ? Spec : throw new InputException([.. Faults.Select(f => f.ToString())]);

    private string OriginOf(string path) =>
        Ancestors(path).Select(Origins.GetValueOrDefault).FirstOrDefault(origin => origin is not null) ?? File;

    /// <summary><c>a.b[2]</c>, then <c>a.b</c>, then <c>a</c>.</summary>
    private static IEnumerable<string> Ancestors(string path)
    {
        for (var end = path.Length; end > 0; end = path.AsSpan(0, end).LastIndexOfAny('.', '['))
        {
            yield return path[..end];
        }
    }
}

/// <summary>
/// Reads a run spec from YAML with <c>--set</c> overrides. Paths are taken relative to the spec file, except the cache
/// folder, which belongs to the working folder; <c>${NAME}</c> and <c>${NAME:-default}</c> are replaced in paths.
/// </summary>
internal static class SpecReader
{
    /// <summary>Reads a spec file; every configuration fault is in the result.</summary>
    /// <exception cref="InputException">The file cannot be read at all.</exception>
    public static SpecReading ReadFile(string file, IReadOnlyList<string> overrides, Func<string, string?> environment)
    {
        string text;
        try
        {
            text = System.IO.File.ReadAllText(file);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{file}: the run spec cannot be read: {exception.Message}", exception);
        }

        return Read(text, file, overrides, environment);
    }

    /// <summary>Reads a spec from text; <paramref name="file"/> names it in faults and anchors its paths.</summary>
    public static SpecReading Read(string text, string file, IReadOnlyList<string> overrides, Func<string, string?> environment)
    {
        var faults = new List<SpecFault>();
        if (Parse(text, file, faults) is not { } root)
        {
            return new SpecReading(new RunSpec(), faults, file, new Dictionary<string, string>());
        }

        var origins = new Dictionary<YamlNode, string>(ReferenceEqualityComparer.Instance);
        foreach (var argument in overrides)
        {
            SpecOverrides.Apply(root, argument, origins, faults);
        }

        var binder = new SpecBinder(file, origins, environment);
        var spec = binder.Bind(root);
        faults.AddRange(binder.Faults);
        return new SpecReading(ResolvePaths(spec, file), faults, file, binder.Origins);
    }

    private static YamlMappingNode? Parse(string text, string file, List<SpecFault> faults)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(text));
        }
        catch (YamlException exception)
        {
            var message = (exception.InnerException ?? exception).Message;
            faults.Add(new SpecFault("", $"{file}:{exception.Start.Line}", $"this is not valid YAML: {message}"));
            return null;
        }

        switch (stream.Documents)
        {
            case []:
                faults.Add(new SpecFault("", file, "the run spec is empty."));
                return null;
            case [{ RootNode: YamlMappingNode mapping }]:
                return mapping;
            case [{ RootNode: var other }]:
                faults.Add(new SpecFault("", $"{file}:{other.Start.Line}", "a run spec is a mapping of keys, such as 'name: my-run'."));
                return null;
            default:
                faults.Add(new SpecFault("", file, "the file holds several YAML documents; a run spec is one."));
                return null;
        }
    }

    private static RunSpec ResolvePaths(RunSpec spec, string file)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
        return spec with
        {
            Model = spec.Model with { Path = Absolute(spec.Model.Path, folder) },
            Task = spec.Task with
            {
                Train = Absolute(spec.Task.Train, folder),
                Evaluation = Absolute(spec.Task.Evaluation, folder),
            },
            Cache = spec.Cache with { Directory = Absolute(spec.Cache.Directory, Environment.CurrentDirectory) },
        };
    }

    private static string Absolute(string path, string folder) => path.Length == 0 ? path : Path.GetFullPath(path, folder);
}
