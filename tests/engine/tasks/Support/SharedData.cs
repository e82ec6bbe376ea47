namespace SplitFrozen.Tasks.Tests.Support;

/// <summary>The real data sets that lie beside the checkout.</summary>
internal static class SharedData
{
    /// <summary>The data folder; skips the test where it is absent.</summary>
    public static string Folder
    {
        get
        {
            var folder = Find();
            Assert.SkipWhen(folder is null, "Real data is not here: set SPLITFROZEN_SHARED, or put it in ../shared beside the checkout.");
            return System.IO.Path.Combine(folder!, "data");
        }
    }

    private static string? Find()
    {
        if (Environment.GetEnvironmentVariable("SPLITFROZEN_SHARED") is { Length: > 0 } set)
        {
            return set;
        }

        for (var folder = AppContext.BaseDirectory; folder is not null; folder = System.IO.Path.GetDirectoryName(folder))
        {
            var candidate = System.IO.Path.Combine(folder, "shared");
            if (Directory.Exists(System.IO.Path.Combine(candidate, "design")))
            {
                return candidate;
            }
        }

        return null;
    }
}
