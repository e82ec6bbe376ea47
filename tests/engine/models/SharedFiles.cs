namespace SplitFrozen.Tests.Engine.Models;

/// <summary>Finds the real weights and data that are kept outside the repository; a test that needs them skips without.</summary>
internal static class SharedFiles
{
    /// <summary>Full path of a file in the shared folder.</summary>
    public static string Require(string relative)
    {
        var path = Root() is { } root ? Path.Combine(root, relative) : null;
        Assert.SkipUnless(path is not null && File.Exists(path), $"The shared file {relative} is not here; name its folder in SPLITFROZEN_SHARED.");
        return path!;
    }

    private static string? Root()
    {
        if (Environment.GetEnvironmentVariable("SPLITFROZEN_SHARED") is { Length: > 0 } named)
        {
            return named;
        }

        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var candidate = Path.Combine(folder.FullName, "shared");
            if (Directory.Exists(Path.Combine(candidate, "design")))
            {
                return candidate;
            }
        }

        return null;
    }
}
