using SplitFrozen.Contracts.Wire;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Tasks.Encoders;

/// <summary>
/// Prompt and answer to ids for language modelling: <c>[begin-of-text] prompt answer [end-of-text]</c>. Prompt and answer are
/// tokenised apart, so the prompt's ids are the same in training and in generation; a space is put before the answer unless
/// the prompt ends in white space.
/// </summary>
internal sealed class PromptEncoder(ITextTokenizer tokenizer)
{
    private readonly int[] _begin = tokenizer.BeginOfTextId is { } begin ? [begin] : [];
    private readonly int[] _end = tokenizer.EndOfTextId is { } end ? [end] : [];

    public int[] EncodePrompt(string prompt) => [.. _begin, .. tokenizer.Encode(prompt)];

    /// <summary>
    /// The sample, whose loss counts the answer and the end only: <c>labels[t] = tokens[t + 1]</c> from the prompt's last token,
    /// which predicts the first answer token, to the last token but one; -100 elsewhere.
    /// </summary>
    public EncodedSample Encode(SampleId id, string promptText, int[] prompt, string answer)
    {
        var spaced = promptText.Length > 0 && char.IsWhiteSpace(promptText[^1]) ? answer : " " + answer;
        int[] tokens = [.. prompt, .. tokenizer.Encode(spaced), .. _end];
        var labels = new int[tokens.Length];
        Array.Fill(labels, EncodedSample.Ignored);
        for (var t = Math.Max(0, prompt.Length - 1); t < tokens.Length - 1; t++)
        {
            labels[t] = tokens[t + 1];
        }

        return new EncodedSample(id, tokens, labels, LabelsPerToken: true, Class: 0);
    }
}
