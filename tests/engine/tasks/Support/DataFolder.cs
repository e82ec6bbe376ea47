using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Tasks.Tests.Support;

/// <summary>A temporary folder with data files, removed at the end.</summary>
internal sealed class DataFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("splitfrozen-tasks-").FullName;

    public DataFolder With(string name, string content)
    {
        File.WriteAllText(System.IO.Path.Combine(Path, name), content);
        return this;
    }

    public DataFolder With(string name, byte[] content)
    {
        File.WriteAllBytes(System.IO.Path.Combine(Path, name), content);
        return this;
    }

    public LoadedTask Load(TaskSpec spec, ByteTokenizer? tokenizer = null, int positions = 1024) =>
        TaskData.Load(spec, Path, tokenizer ?? new ByteTokenizer(), positions);

    /// <summary>The exception of loading <paramref name="content"/> as both splits.</summary>
    public DataException Refuse(string kind, string extension, string content) => Refuse(new TaskSpec { Kind = kind }, extension, content);

    public DataException Refuse(TaskSpec spec, string extension, string content)
    {
        var file = $"data.{extension}";
        With(file, content);
        return Assert.Throws<DataException>(() => Load(spec with { Train = file, Evaluation = file }));
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
