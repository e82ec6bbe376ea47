namespace SplitFrozen.Training.Pretraining;

/// <summary>How a text file is divided into documents.</summary>
public enum CorpusForm
{
    /// <summary>One paragraph a line; a line <c>&lt;|endoftext|&gt;</c> ends a document. A file without such a line is one document.</summary>
    Documents,

    /// <summary>Every line is a document.</summary>
    Lines,

    /// <summary>Every row of a data set is a document: <c>.jsonl</c>, or <c>.tsv</c> with a header and without quoting.</summary>
    Table,
}

/// <summary>One text file of a pretraining mix: UTF-8, compressed if its name ends in <c>.gz</c>.</summary>
/// <param name="Path">The file.</param>
/// <param name="Weight">Share of the training windows, relative to the other inputs; greater than 0. A small file is repeated.</param>
/// <param name="Form">How the file is divided into documents.</param>
public sealed record CorpusInput(string Path, double Weight = 1.0, CorpusForm Form = CorpusForm.Documents)
{
    /// <summary>The line that ends a document.</summary>
    public const string DocumentEnd = "<|endoftext|>";

    /// <summary>The columns of a <see cref="CorpusForm.Table"/> whose texts make the document, each on a line of its own.</summary>
    public IReadOnlyList<string> Columns { get; init; } = [];
}

/// <summary>A text file for pretraining cannot be used; the message names the file, the place in it and what to do.</summary>
public sealed class CorpusException : Exception
{
    /// <summary>Names the fault.</summary>
    /// <param name="file">The text file.</param>
    /// <param name="fault">What is wrong and what to do, as a sentence.</param>
    /// <param name="inner">The cause, if another exception showed it.</param>
    public CorpusException(string file, string fault, Exception? inner = null)
        : base($"{file}: {fault}", inner) => File = file;

    /// <summary>The text file.</summary>
    public string File { get; }
}
