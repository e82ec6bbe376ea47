using System.CommandLine;

namespace SplitFrozen.Cli.Commands;

/// <summary>Options that several verbs share, so that they mean the same everywhere.</summary>
internal static class CommonOptions
{
    /// <summary><c>--set path=value</c>, repeatable.</summary>
    public static Option<string[]> Set() => new("--set")
    {
        Description = "Override a value of the spec, for example training.epochs=2; repeatable. Paths are relative to the spec file.",
        HelpName = "path=value",
        AllowMultipleArgumentsPerToken = false,
    };

    /// <summary><c>--json</c>.</summary>
    public static Option<bool> Json(string description = "Print the result as JSON.") => new("--json") { Description = description };
}
