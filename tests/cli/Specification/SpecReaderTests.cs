using SplitFrozen.Cli.Specification;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Cli.Tests.Specification;

public sealed class SpecReaderTests
{
    private const string Good =
        """
        name: demo
        seed: 7
        model: { path: base-model, boundary: 3 }
        lora:
          rank: 8
          targets: [c_attn, c_fc]
        task:
          kind: sst2
          train: data/train.tsv
          evaluation: ${DATA:-data}/dev.tsv
          train_limit: 100
        device: { wire_type: int8 }
        training: { learning_rate: 1e-3, order: available }
        clients: { cuts: [2, 3] }
        """;

    [Fact]
    public void Read_GoodSpec_FillsEverySection()
    {
        var reading = Read(Good);
        Assert.Empty(reading.Faults);
        var spec = reading.Spec;
        Assert.Equal("demo", spec.Name);
        Assert.Equal(7, spec.Seed);
        Assert.Equal(3, spec.Model.Boundary);
        Assert.Equal(["c_attn", "c_fc"], spec.Lora.Targets);
        Assert.Equal(100, spec.Task.TrainLimit);
        Assert.Null(spec.Task.EvaluationLimit);
        Assert.Equal(WireType.Int8, spec.Device.WireType);
        Assert.Equal(1e-3, spec.Training.LearningRate);
        Assert.Equal("available", spec.Training.Order);
        Assert.Equal([2, 3], spec.Clients.Cuts);
    }

    [Fact]
    public void Read_RelativePaths_AreTakenFromTheSpecFile()
    {
        var spec = Read(Good).Spec;
        Assert.Equal("/specs/base-model", spec.Model.Path);
        Assert.Equal("/specs/data/dev.tsv", spec.Task.Evaluation);
        Assert.Equal(Path.GetFullPath(".splitfrozen/cache"), spec.Cache.Directory);
    }

    [Fact]
    public void Read_VariableInPath_IsReplaced()
    {
        var reading = SpecReader.Read(Good, "/specs/demo.yaml", [], name => name == "DATA" ? "/elsewhere" : null);
        Assert.Equal("/elsewhere/dev.tsv", reading.Spec.Task.Evaluation);
    }

    [Fact]
    public void Read_UnsetVariableWithoutDefault_IsAFaultThatNamesIt()
    {
        var fault = Assert.Single(Read("model:\n  path: ${NOWHERE}/model").Faults);
        Assert.Equal("model.path", fault.Path);
        Assert.Equal("/specs/demo.yaml:2", fault.Origin);
        Assert.Contains("NOWHERE is not set", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_ManyFaults_ReportsAllWithPathAndLine()
    {
        var reading = Read(
            """
            nam: demo
            seed: many
            model: base-model
            lora:
              rank: 8.5
              targets: c_attn
              dropout: true
            device: { wire_type: f12 }
            task:
              train_limit: "10"
            clients:
              cuts: [1, x]
            training:
            """);
        Assert.Equal(
            [
                ("nam", 1), ("seed", 2), ("model", 3), ("lora.rank", 5), ("lora.targets", 6), ("lora.dropout", 7),
                ("device.wire_type", 8), ("task.train_limit", 10), ("clients.cuts[1]", 12), ("training", 13),
            ],
            reading.Faults.Select(fault => (fault.Path, int.Parse(fault.Origin[(fault.Origin.LastIndexOf(':') + 1)..]))));
        Assert.Contains("Did you mean 'name'?", reading.Faults[0].Message, StringComparison.Ordinal);
        Assert.Contains("f32, f16, bf16, int8", reading.Faults[6].Message, StringComparison.Ordinal);
        Assert.Contains("the text \"10\"", reading.Faults[7].Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "empty")]
    [InlineData("- a\n- b", "mapping of keys")]
    [InlineData("name: a\nname: b", "not valid YAML")]
    [InlineData("name: [", "not valid YAML")]
    [InlineData("name: a\n---\nname: b", "several YAML documents")]
    public void Read_NotAMapping_IsOneFaultOfTheFile(string text, string expected)
    {
        var fault = Assert.Single(Read(text).Faults);
        Assert.Contains(expected, fault.Message, StringComparison.Ordinal);
        Assert.StartsWith("/specs/demo.yaml", fault.Origin, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_Overrides_ReplaceAndAddValues()
    {
        var reading = Read(Good, "training.epochs=3", "lora.targets=[c_proj]", "cache.max_bytes=1000", "task.train_limit=null", "name=other");
        Assert.Empty(reading.Faults);
        Assert.Equal(3, reading.Spec.Training.Epochs);
        Assert.Equal("available", reading.Spec.Training.Order);
        Assert.Equal(["c_proj"], reading.Spec.Lora.Targets);
        Assert.Equal(1000, reading.Spec.Cache.MaxBytes);
        Assert.Null(reading.Spec.Task.TrainLimit);
        Assert.Equal("other", reading.Spec.Name);
    }

    [Theory]
    [InlineData("training.epochs", "expected path=value")]
    [InlineData("training.epoch=3", "Did you mean 'epochs'?")]
    [InlineData("training.epochs=three", "expected a whole number, found 'three'")]
    [InlineData("lora.targets=c_attn", "expected a list")]
    [InlineData("lora.targets=[c_attn", "not valid YAML")]
    [InlineData("name.x=3", "'name' is not a section")]
    public void Read_BadOverride_IsAFaultThatNamesTheArgument(string argument, string expected)
    {
        var fault = Assert.Single(Read(Good, argument).Faults);
        Assert.Equal("--set " + argument, fault.Origin);
        Assert.Contains(expected, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Write_ResolvedSpec_ReadsBackEqual()
    {
        var spec = Read(Good, "task.prompt_template=\"Q: {question}\\nA: \\\"\"", "training.epsilon=1e-8").Spec;
        var again = Read(SpecWriter.Write(spec));
        Assert.Empty(again.Faults);
        Assert.Equal("Q: {question}\nA: \"", again.Spec.Task.PromptTemplate);
        Assert.Equal(SpecWriter.Flatten(spec), SpecWriter.Flatten(again.Spec));
    }

    [Fact]
    public void Flatten_DefaultSpec_ListsEveryKeyOfEverySection()
    {
        var paths = SpecWriter.Flatten(new RunSpec()).Keys;
        Assert.Contains("training.max_gradient_norm", paths);
        Assert.Contains("clients.classes_per_client", paths);
        Assert.Contains("device.wire_type", paths);
    }

    private static SpecReading Read(string text, params string[] overrides) =>
        SpecReader.Read(text, "/specs/demo.yaml", overrides, _ => null);
}
