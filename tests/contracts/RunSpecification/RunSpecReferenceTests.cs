namespace SplitFrozen.Contracts.Tests.RunSpecification;

public sealed class RunSpecReferenceTests
{
    /// <summary>With <c>SPLITFROZEN_WRITE_DOCS=1</c> the page is written rather than compared.</summary>
    [Fact]
    public void ReferencePage_OfTheRunSpec_SaysWhatTheCodeSays()
    {
        var file = Path.Combine(RepositoryRoot(), "docs", "run-spec.md");
        var expected = RunSpecReference.ToMarkdown();
        if (Environment.GetEnvironmentVariable("SPLITFROZEN_WRITE_DOCS") == "1")
        {
            File.WriteAllText(file, expected);
        }

        Assert.True(
            File.Exists(file) && File.ReadAllText(file) == expected,
            "docs/run-spec.md differs from the code; run this test with SPLITFROZEN_WRITE_DOCS=1 and commit the page.");
    }

    private static string RepositoryRoot()
    {
        var root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "SplitFrozen.sln")))
        {
            root = Path.GetDirectoryName(root) ?? throw new InvalidOperationException("SplitFrozen.sln is above no parent folder of the test.");
        }

        return root;
    }
}
