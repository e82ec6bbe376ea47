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

    /// <summary><c>--out</c> of a folder that the verb makes.</summary>
    public static Option<string> NewFolder() => new("--out") { Description = "Folder to make; must not exist or be empty.", HelpName = "DIR", Required = true };

    /// <summary>Refuses what <see cref="NewFolder"/> names where something is there already.</summary>
    /// <exception cref="InputException">It is a file, or a folder that is not empty.</exception>
    public static void RequireNew(string folder)
    {
        if (File.Exists(folder) || (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any()))
        {
            throw new InputException($"--out {folder}: it exists already; name a new folder.");
        }
    }

    /// <summary><c>--json</c>.</summary>
    public static Option<bool> Json(string description = "Print the result as JSON.") => new("--json") { Description = description };
}
