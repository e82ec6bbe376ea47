using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Tasks.Encoders;
using SplitFrozen.Tasks.Metrics;

namespace SplitFrozen.Tasks.Reading;

/// <summary>One split of a language-modelling task, with the rows to answer by generation.</summary>
internal sealed class PromptSplit(
    TaskDefinition definition, PromptEncoder encoder, int maxLength, bool evaluation, int generate, int longestPrompt)
    : SplitReader(definition, evaluation)
{
    private readonly List<GenerationExample> _examples = [];
    private readonly Dictionary<string, int> _columns =
        definition.Template!.Columns.Select((c, i) => (c, i)).ToDictionary(p => p.c, p => p.i, StringComparer.Ordinal);

    public IReadOnlyList<GenerationExample> Examples => _examples;

    public int ExamplesLeftOut { get; private set; }

    protected override string NothingLeft(int rows) =>
        $"none of the {rows} rows fits in {maxLength} tokens; raise task.max_length or shorten the texts";

    protected override void Add(int line, IReadOnlyList<string> texts, string target, DataFaults faults)
    {
        var promptText = Definition.Template!.Render(column => texts[_columns[column]]);
        var isGsm8k = Definition.Description.Name == TaskKinds.Gsm8k;
        var number = isGsm8k ? Gsm8kAnswer.Extract(target) : null;
        if (string.IsNullOrWhiteSpace(promptText))
        {
            faults.Add(line, null, "the prompt is empty; give its columns a text or remove the row");
            return;
        }

        if (isGsm8k && number is null)
        {
            faults.Add(line, Definition.Layouts[0].Target, "no number after '####'; GSM8K answers end in '#### 42'");
            return;
        }

        var prompt = encoder.EncodePrompt(promptText);
        var sample = encoder.Encode(NextId, promptText, prompt, target);
        if (sample.Tokens.Length <= maxLength)
        {
            Keep(sample);
        }
        else
        {
            LeaveOut();
        }

        if (_examples.Count < generate)
        {
            Offer(new GenerationExample(line, promptText, prompt, target, number));
        }
    }

    private void Offer(GenerationExample example)
    {
        if (example.Prompt.Length <= longestPrompt)
        {
            _examples.Add(example);
        }
        else
        {
            ExamplesLeftOut++;
        }
    }
}
