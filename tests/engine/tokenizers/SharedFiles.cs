namespace SplitFrozen.Tokenizers.Tests;

/// <summary>Finds the read-only files that lie beside the checkout; tests that need one skip where it is absent.</summary>
internal static class SharedFiles
{
    public static string Require(string relativePath)
    {
        var root = Root();
        var path = root is null ? null : Path.Combine(root, relativePath);
        Assert.SkipUnless(path is not null && File.Exists(path), $"shared file {relativePath} is not here; set SPLITFROZEN_SHARED");
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
