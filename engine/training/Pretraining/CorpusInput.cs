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

    /// <summary>
    /// Reads the form used on a command line: <c>path</c>, <c>path#lines</c> (a document per line) or
    /// <c>path#column,column</c> (rows of a table), each with an optional <c>=weight</c>; for example
    /// <c>sst2/glue_train.tsv#sentence=0.2</c>.
    /// </summary>
    /// <exception cref="FormatException">The weight is no positive number, or the path is empty.</exception>
    public static CorpusInput Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var weight = 1.0;
        var rest = text;
        var equals = text.LastIndexOf('=');
        if (equals >= 0)
        {
            rest = text[..equals];
            if (!double.TryParse(text[(equals + 1)..], out weight) || !double.IsFinite(weight) || weight <= 0)
            {
                throw new FormatException($"'{text}': the weight after '=' must be a number greater than 0.");
            }
        }

        var hash = rest.LastIndexOf('#');
        var path = hash < 0 ? rest : rest[..hash];
        if (path.Length == 0)
        {
            throw new FormatException($"'{text}' names no file; use path[#lines|#column,column][=weight].");
        }

        return (hash < 0 ? null : rest[(hash + 1)..]) switch
        {
            null => new CorpusInput(path, weight),
            "lines" => new CorpusInput(path, weight, CorpusForm.Lines),
            var columns => new CorpusInput(path, weight, CorpusForm.Table) { Columns = columns.Split(',') },
        };
    }
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
