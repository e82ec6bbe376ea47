using System.Text.RegularExpressions;
using SplitFrozen.TestServers;

namespace SplitFrozen.Deploy.Tests.Rendering;

/// <summary>The stages of the container file with their instructions.</summary>
internal sealed partial class Containerfile
{
    private Containerfile(IReadOnlyList<Stage> stages) => Stages = stages;

    public IReadOnlyList<Stage> Stages { get; }

    public static string Text { get; } = File.ReadAllText(Path.Combine(Programs.Root, "deploy", "Containerfile"));

    public static Containerfile Parse(string text)
    {
        var stages = new List<Stage>();
        var lines = string.Join('\n', text.Split('\n').Where(line => !line.StartsWith('#'))).Replace("\\\n", " ", StringComparison.Ordinal).Split('\n');
        foreach (var words in lines.Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(words => words.Length > 0))
        {
            if (words[0] == "FROM")
            {
                stages.Add(new(words[3], words[1], []));
            }
            else
            {
                stages[^1].Instructions.Add((words[0], words[1..]));
            }
        }

        return new Containerfile(stages);
    }

    /// <summary>A stage's instructions after those of the stages that it is made from.</summary>
    public IEnumerable<(string Word, string[] Arguments)> Lineage(Stage stage) =>
        (Stages.SingleOrDefault(parent => parent.Name == stage.Base) is { } parent ? Lineage(parent) : []).Concat(stage.Instructions);

    /// <summary>Folders that <c>dotnet publish</c> fills, with the project that it publishes.</summary>
    public IReadOnlyDictionary<string, string> Published =>
        Stages.SelectMany(stage => stage.Instructions).SelectMany(instruction => Publish().Matches(string.Join(' ', instruction.Arguments)))
            .ToDictionary(match => match.Groups["folder"].Value, match => match.Groups["project"].Value, StringComparer.Ordinal);

    [GeneratedRegex(@"dotnet publish (?<project>\S+) \$PUBLISH --output (?<folder>\S+)", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Publish();

    internal sealed record Stage(string Name, string Base, List<(string Word, string[] Arguments)> Instructions);
}
