using System.Collections;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace SplitFrozen.Contracts.RunSpecification;

/// <summary>
/// Gathers faults. A value's path is made from the expression that reads it, <c>training.LearningRate</c> giving
/// <c>training.learning_rate</c>, so that path and value cannot disagree.
/// </summary>
internal sealed class RunSpecFaults
{
    private readonly List<RunSpecFault> _faults = [];

    public IReadOnlyList<RunSpecFault> All => _faults;

    public void Require<T>(bool holds, T value, string expected, string action = "", [CallerArgumentExpression(nameof(value))] string expression = "")
    {
        if (!holds)
        {
            Add(Path(expression), value, expected, action);
        }
    }

    public void Range(int value, int least, int most, string action = "", [CallerArgumentExpression(nameof(value))] string expression = "") =>
        Require(
            value >= least && value <= most, value,
            most == int.MaxValue ? $"a whole number of at least {least}" : $"a whole number from {least} to {most}", action, expression);

    public void Positive(double value, string action = "", [CallerArgumentExpression(nameof(value))] string expression = "") =>
        Require(double.IsFinite(value) && value > 0, value, "a finite number greater than 0", action, expression);

    public void NotNegative(double value, string action = "", [CallerArgumentExpression(nameof(value))] string expression = "") =>
        Require(double.IsFinite(value) && value >= 0, value, "a finite number of at least 0", action, expression);

    public void Fraction(double value, string action = "", [CallerArgumentExpression(nameof(value))] string expression = "") =>
        Require(value is >= 0 and < 1, value, "a number of at least 0 and less than 1", action, expression);

    public void OneOf(string value, IReadOnlyList<string> values, [CallerArgumentExpression(nameof(value))] string expression = "") =>
        Require(values.Contains(value), value, $"one of {string.Join(", ", values)}", "", expression);

    public void Names(IReadOnlyList<string> values, [CallerArgumentExpression(nameof(values))] string expression = "")
    {
        for (var i = 0; i < values.Count; i++)
        {
            var path = $"{Path(expression)}[{i}]";
            if (string.IsNullOrWhiteSpace(values[i]))
            {
                Add(path, values[i], "a name", "");
            }
            else if (values.Take(i).Contains(values[i]))
            {
                Add(path, values[i], "each name once", "remove it");
            }
        }
    }

    public void Add<T>(string path, T value, string expected, string action) =>
        _faults.Add(new RunSpecFault(path, Text(value), expected, action));

    private static string Text<T>(T value) => value switch
    {
        null => "nothing",
        string { Length: 0 } => "nothing",
        string text => $"'{text}'",
        IEnumerable values => Listed(values),
        _ => value.ToString()!,
    };

    private static string Listed(IEnumerable values)
    {
        var items = values.Cast<object>().ToList();
        return items.Count == 0 ? "nothing" : $"[{string.Join(", ", items)}]";
    }

    private static string Path(string expression)
    {
        var parts = expression.Split('.');
        return string.Join('.', parts.Skip(parts[0] == "spec" ? 1 : 0).Select(JsonNamingPolicy.SnakeCaseLower.ConvertName));
    }
}
