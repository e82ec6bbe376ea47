using System.Buffers.Binary;
using System.IO.Hashing;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Tasks.Tests.Support;

namespace SplitFrozen.Tasks.Tests;

public sealed class LanguageModelDataTests : IDisposable
{
    private const int None = EncodedSample.Ignored;
    private readonly DataFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Instruction_PromptAndAnswer_CountsTheAnswerAndTheEndOnly()
    {
        var sample = Load(new TaskSpec { Kind = "instruction", PromptTemplate = "{q}:" }, """{"q": "a", "answer": "bc"}""").Train[0];

        Assert.Equal(['a', ':', ' ', 'b', 'c', ByteTokenizer.End], sample.Tokens);
        Assert.Equal([None, ' ', 'b', 'c', ByteTokenizer.End, None], sample.Labels);
        Assert.Equal((true, 0), (sample.LabelsPerToken, sample.Class));
    }

    [Fact]
    public void Instruction_TokenizerWithBegin_PutsItFirst()
    {
        var sample = Load(
            new TaskSpec { Kind = "instruction", PromptTemplate = "{q}\n" }, """{"q": "a", "answer": "b"}""", new ByteTokenizer(hasBegin: true)).Train[0];
        Assert.Equal([ByteTokenizer.Begin, 'a', '\n', 'b', ByteTokenizer.End], sample.Tokens);
        Assert.Equal([None, None, 'b', ByteTokenizer.End, None], sample.Labels);
    }

    [Fact]
    public void Instruction_TokenizerWithoutEnd_StopsAtTheAnswer()
    {
        var sample = Load(new TaskSpec { Kind = "instruction", PromptTemplate = "{q}:" }, """{"q": "a", "answer": "b"}""", new ByteTokenizer(hasEnd: false)).Train[0];
        Assert.Equal(['a', ':', ' ', 'b'], sample.Tokens);
        Assert.Equal([None, ' ', 'b', None], sample.Labels);
    }

    [Fact]
    public void Instruction_TemplateWithOptionalColumn_TakesItEmpty()
    {
        var task = Load(
            new TaskSpec { Kind = "instruction", PromptTemplate = "{{{ask}}} {input}=", TargetColumn = "output" },
            """{"ask": "add", "input": "", "output": "3"}""");
        Assert.Equal("{add} = 3", new ByteTokenizer().Decode(task.Train[0].Tokens[..^1]));
    }

    [Fact]
    public void Instruction_NoTemplate_PutsEachTextOnALine()
    {
        var task = Load(new TaskSpec { Kind = "instruction", TextColumns = ["a", "b"] }, """{"a": "x", "b": "y", "answer": "z"}""");
        Assert.Equal("x\ny\nz", new ByteTokenizer().Decode(task.Train[0].Tokens[..^1]));
    }

    [Fact]
    public void Gsm8k_Row_IsTheTemplateTheAnswerAndTheEnd()
    {
        var task = Load(new TaskSpec { Kind = "gsm8k", GenerateSamples = 1, GenerateTokens = 100 }, """{"question": "1+1?", "answer": "It is 2\n#### 2"}""");
        Assert.Equal("Question: 1+1?\nAnswer: It is 2\n#### 2", new ByteTokenizer().Decode(task.Train[0].Tokens[..^1]));
        Assert.Equal(ByteTokenizer.End, task.Train[0].Tokens[^1]);
        Assert.Equal("exact_match", task.Task.MetricName);

        var example = Assert.Single(task.GenerationExamples);
        Assert.Equal("Question: 1+1?\nAnswer:", example.PromptText);
        Assert.Equal(example.PromptText, new ByteTokenizer().Decode(example.Prompt));
        Assert.Equal(("It is 2\n#### 2", 2m, 1), (example.Answer, example.Number, example.Line));
        Assert.Equal(example.Prompt, task.Train[0].Tokens[..example.Prompt.Length]);
    }

    [Fact]
    public void LongSample_OverMaxLength_IsLeftOutAndCounted()
    {
        var task = Load(new TaskSpec { Kind = "instruction", PromptTemplate = "{q}:", MaxLength = 8 }, """
            {"q": "abcdefgh", "answer": "b"}
            {"q": "abcd", "answer": "b"}
            {"q": "abcde", "answer": "b"}
            """);
        Assert.Equal(2, task.TrainLeftOut);
        Assert.Equal(("abcd: b", SampleId.Training(0)), (new ByteTokenizer().Decode(task.Train[0].Tokens[..^1]), Assert.Single(task.Train).Id));
    }

    [Fact]
    public void Generation_PromptWithoutRoomForAnAnswer_IsPassedOverAndCounted()
    {
        var task = Load(
            new TaskSpec { Kind = "instruction", PromptTemplate = "{q}:", MaxLength = 20, GenerateSamples = 2, GenerateTokens = 10 },
            """
            {"q": "abcdefghijklm", "answer": "b"}
            {"q": "abcdefghi", "answer": "0123456789012345"}
            {"q": "abcd", "answer": "b"}
            {"q": "efgh", "answer": "b"}
            """,
            positions: 20);
        Assert.Equal(1, task.GenerationLeftOut);
        Assert.Equal([2, 3], task.GenerationExamples.Select(e => e.Line));
        Assert.Equal(1, task.EvaluationLeftOut);
    }

    [Fact]
    public void Digest_OfASample_IsXxh128OverTheDocumentedLayout()
    {
        var sample = new EncodedSample(SampleId.Training(3), [7, 300], [-100, 300], LabelsPerToken: true, Class: 0);
        var bytes = new byte[28];
        foreach (var (value, i) in new[] { 1, 2, 7, 300, 2, -100, 300 }.Select((v, i) => (v, i)))
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4 * i), value);
        }

        Assert.Equal(XxHash128.HashToUInt128(bytes), sample.Digest.Value);
    }

    [Fact]
    public void Digest_OnlyTheIdDiffers_IsTheSame()
    {
        var sample = new EncodedSample(SampleId.Training(3), [7, 8], [1], false, 1);
        Assert.Equal(sample.Digest, (sample with { Id = SampleId.Evaluation(0) }).Digest);
        Assert.NotEqual(sample.Digest, (sample with { Tokens = [7, 9] }).Digest);
        Assert.NotEqual(sample.Digest, (sample with { Labels = [0] }).Digest);
        Assert.NotEqual(sample.Digest, (sample with { LabelsPerToken = true }).Digest);
        Assert.NotEqual(sample.Digest, (sample with { Tokens = [7, 8, 1], Labels = [] }).Digest);
    }

    [Fact]
    public void Indexer_SampleId_FindsTheSample()
    {
        var task = Load(new TaskSpec { Kind = "instruction", PromptTemplate = "{q}:" }, """{"q": "a", "answer": "bc"}""");
        Assert.Same(task.Evaluation[0], task[SampleId.Evaluation(0)]);
        Assert.Same(task.Train[0], task[SampleId.Training(0)]);
        Assert.Throws<ArgumentOutOfRangeException>(() => task[SampleId.Training(1)]);
    }

    private LoadedTask Load(TaskSpec spec, string content, ByteTokenizer? tokenizer = null, int positions = 1024) =>
        _folder.With("rows.jsonl", content).Load(spec with { Train = "rows.jsonl", Evaluation = "rows.jsonl" }, tokenizer, positions);
}
