namespace SplitFrozen.Tasks.Demo;

/// <summary>A made-up review sentence and whether it is favourable.</summary>
/// <param name="Text">The sentence.</param>
/// <param name="IsPositive">The class: <c>positive</c> or <c>negative</c>.</param>
public readonly record struct DemoSentence(string Text, bool IsPositive)
{
    /// <summary>The class as the CSV files spell it.</summary>
    public string Label => IsPositive ? "positive" : "negative";
}
