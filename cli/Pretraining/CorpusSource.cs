using System.Globalization;

namespace SplitFrozen.Cli.Pretraining;

/// <summary>One input of pretraining: a text file, or one column of a table whose labels are left aside.</summary>
/// <param name="File">The file; <c>.gz</c> is unpacked while reading.</param>
/// <param name="Column">Column name, or <c>#n</c> for the n-th column of a table without a header; null for plain text.</param>
/// <param name="Weight">Share of the training sequences, relative to the other sources.</param>
internal sealed record CorpusSource(string File, string? Column, double Weight)
{
    /// <summary>Parses <c>FILE[=WEIGHT]</c>.</summary>
    /// <exception cref="InputException">The form is wrong or the file is not there.</exception>
    public static CorpusSource ParseText(string argument)
    {
        var (file, weight) = SplitWeight(argument, "--text");
        return Existing(new CorpusSource(file, null, weight), "--text");
    }

    /// <summary>Parses <c>FILE:COLUMN[=WEIGHT]</c>.</summary>
    /// <exception cref="InputException">The form is wrong or the file is not there.</exception>
    public static CorpusSource ParseColumn(string argument)
    {
        var (rest, weight) = SplitWeight(argument, "--column");
        var colon = rest.LastIndexOf(':');
        if (colon <= 0 || colon == rest.Length - 1)
        {
            throw new InputException($"--column {argument}: expected FILE:COLUMN[=WEIGHT], for example train.tsv:sentence=2.");
        }

        return Existing(new CorpusSource(rest[..colon], rest[(colon + 1)..], weight), "--column");
    }

    /// <inheritdoc/>
    public override string ToString() => Column is null ? Path.GetFileName(File) : $"{Path.GetFileName(File)}:{Column}";

    private static (string File, double Weight) SplitWeight(string argument, string option)
    {
        var equals = argument.LastIndexOf('=');
        if (equals < 0)
        {
            return (argument, 1);
        }

        return double.TryParse(argument[(equals + 1)..], NumberStyles.Float, CultureInfo.InvariantCulture, out var weight)
            && weight > 0 && double.IsFinite(weight)
            ? (argument[..equals], weight)
            : throw new InputException($"{option} {argument}: the weight after '=' must be a number greater than 0.");
    }

    private static CorpusSource Existing(CorpusSource source, string option) =>
        System.IO.File.Exists(source.File) ? source : throw new InputException($"{option} {source.File}: there is no such file.");
}
