namespace SplitFrozen.Tokenizers.Tests;

/// <summary>An empty folder that is deleted at the end of the test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("splitfrozen-tokenizers-").FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public void Write(string name, string content) => System.IO.File.WriteAllText(File(name), content);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
