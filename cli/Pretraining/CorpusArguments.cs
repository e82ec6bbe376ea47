using System.Globalization;
using SplitFrozen.Training.Pretraining;

namespace SplitFrozen.Cli.Pretraining;

/// <summary>Parses the inputs of <c>pretrain</c>.</summary>
internal static class CorpusArguments
{
    /// <summary>All inputs in order; a wrong form, a missing file and the lack of any input are added to the faults.</summary>
    public static IReadOnlyList<CorpusInput> Parse(IEnumerable<string> texts, IEnumerable<string> columns, List<string> faults)
    {
        var inputs = texts.Select(argument => Text(argument, faults)).Concat(columns.Select(argument => Column(argument, faults))).ToArray();
        faults.AddRange(inputs.Where(input => !File.Exists(input.Path)).Select(input => $"{input.Path}: there is no such file."));
        if (inputs.Length == 0)
        {
            faults.Add("there is nothing to train on: give --text FILE or --column FILE:COLUMN.");
        }

        return inputs;
    }

    /// <summary>Reads a count with an optional suffix, for example <c>500k</c> or <c>20M</c>; null when it is none.</summary>
    public static long? Count(string text)
    {
        var factor = text is [.., 'k' or 'K'] ? 1e3 : text is [.., 'M'] ? 1e6 : text is [.., 'G' or 'B'] ? 1e9 : 1;
        var digits = factor == 1 ? text : text[..^1];
        return double.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number * factor is >= 1 and < 1e15
            ? (long)Math.Round(number * factor)
            : null;
    }

    private static CorpusInput Text(string argument, List<string> faults)
    {
        var (path, weight) = SplitWeight(argument, "--text", faults);
        return new CorpusInput(path, weight);
    }

    private static CorpusInput Column(string argument, List<string> faults)
    {
        var (rest, weight) = SplitWeight(argument, "--column", faults);
        var colon = rest.LastIndexOf(':');
        if (colon > 0 && colon < rest.Length - 1)
        {
            return new CorpusInput(rest[..colon], weight, CorpusForm.Table) { Columns = [rest[(colon + 1)..]] };
        }

        faults.Add($"--column {argument}: expected FILE:COLUMN[=WEIGHT], for example train.tsv:sentence=2.");
        return new CorpusInput(rest, weight);
    }

    private static (string Path, double Weight) SplitWeight(string argument, string option, List<string> faults)
    {
        var equals = argument.LastIndexOf('=');
        if (equals < 0)
        {
            return (argument, 1);
        }

        if (double.TryParse(argument[(equals + 1)..], NumberStyles.Float, CultureInfo.InvariantCulture, out var weight) && weight > 0 && double.IsFinite(weight))
        {
            return (argument[..equals], weight);
        }

        faults.Add($"{option} {argument}: the weight after '=' must be a number greater than 0.");
        return (argument[..equals], 1);
    }
}
