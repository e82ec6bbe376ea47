using System.Text.Json;
using System.Text.RegularExpressions;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Tests.RunSpecification;

public sealed class RunSpecValidatorTests
{
    private static readonly RunSpec Good = new()
    {
        Name = "sst2-8",
        Model = new ModelSpec { Path = "models/small", Boundary = 3 },
        Lora = new LoraSpec { Targets = ["c_attn", "mlp.c_proj"] },
        Task = new TaskSpec { Kind = "sst2", Train = "train.tsv", Evaluation = "dev.tsv" },
        Clients = new ClientsSpec { Count = 8, Partition = "classes", ClassesPerClient = 1, Cuts = [0, 3] },
    };

    private static readonly RunSpec Generic = Good with
    {
        Task = Good.Task with { Kind = "classification", TextColumns = ["a", "b"], TargetColumn = "c", Classes = ["x", "y", "z"] },
    };

    private static readonly RunSpec Instruction = Good with
    {
        Task = new TaskSpec { Kind = "instruction", Train = "train.jsonl", Evaluation = "dev.csv", PromptTemplate = "{q}:", GenerateSamples = 5 },
        Clients = Good.Clients with { Partition = "zipf" },
    };

    private static readonly RunSpec OwnData = Good with
    {
        Task = Good.Task with { Kind = "classification", Train = "", Classes = ["x", "y"] },
        Clients = new ClientsSpec { Count = 3, Partition = "devices", Cuts = [2] },
    };

    private static readonly ModelLimits Gpt2 = new(6, 256, ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]);

    /// <summary>A change that makes a good spec impossible in one place, and the fault that it must give.</summary>
    public static TheoryData<string, string, Func<RunSpec>> OneFault() => new()
    {
        { "name", "nothing", () => Good with { Name = "" } },
        { "name", "'a b'", () => Good with { Name = "a b" } },
        { "name", "'../up'", () => Good with { Name = "../up" } },
        { "name", "'a\n'", () => Good with { Name = "a\n" } },
        { "model.path", "nothing", () => Good with { Model = Good.Model with { Path = "" } } },
        { "model.path", "'missing'", () => Good with { Model = Good.Model with { Path = "missing" } } },
        { "model.boundary", "-1", () => Good with { Model = Good.Model with { Boundary = -1 }, Clients = Good.Clients with { Cuts = [] } } },
        { "lora.rank", "0", () => WithLora(l => l with { Rank = 0 }) },
        { "lora.alpha", "0", () => WithLora(l => l with { Alpha = 0 }) },
        { "lora.alpha", "NaN", () => WithLora(l => l with { Alpha = double.NaN }) },
        { "lora.dropout", "1", () => WithLora(l => l with { Dropout = 1 }) },
        { "lora.dropout", "-0.1", () => WithLora(l => l with { Dropout = -0.1 }) },
        { "lora.dropout", "NaN", () => WithLora(l => l with { Dropout = double.NaN }) },
        { "lora.targets", "nothing", () => WithLora(l => l with { Targets = [] }) },
        { "lora.targets[1]", "nothing", () => WithLora(l => l with { Targets = ["c_attn", ""] }) },
        { "lora.targets[1]", "'c_attn'", () => WithLora(l => l with { Targets = ["c_attn", "c_attn"] }) },
        { "task.kind", "'SST2'", () => WithTask(t => t with { Kind = "SST2" }) },
        { "task.train", "nothing", () => WithTask(t => t with { Train = "" }) },
        { "task.train", "'missing.tsv'", () => WithTask(t => t with { Train = "missing.tsv" }) },
        { "task.evaluation", "'dev.parquet'", () => WithTask(t => t with { Evaluation = "dev.parquet" }) },
        { "task.max_length", "7", () => WithTask(t => t with { MaxLength = 7 }) },
        { "task.train_limit", "0", () => WithTask(t => t with { TrainLimit = 0 }) },
        { "task.evaluation_limit", "-5", () => WithTask(t => t with { EvaluationLimit = -5 }) },
        { "task.text_columns", "[text]", () => WithTask(t => t with { TextColumns = ["text"] }) },
        { "task.target_column", "'label'", () => WithTask(t => t with { TargetColumn = "label" }) },
        { "task.classes", "[a, b]", () => WithTask(t => t with { Classes = ["a", "b"] }) },
        { "task.prompt_template", "'{a}'", () => WithTask(t => t with { PromptTemplate = "{a}" }) },
        { "task.generate_samples", "1", () => WithTask(t => t with { GenerateSamples = 1 }) },
        { "task.generate_samples", "-1", () => WithTask(t => t with { GenerateSamples = -1 }) },
        { "task.generate_tokens", "0", () => WithTask(t => t with { GenerateTokens = 0 }) },
        { "task.text_columns", "[a, b, d]", () => WithGeneric(t => t with { TextColumns = ["a", "b", "d"] }) },
        { "task.text_columns[1]", "'a'", () => WithGeneric(t => t with { TextColumns = ["a", "a"] }) },
        { "task.target_column", "'b'", () => WithGeneric(t => t with { TargetColumn = "b" }) },
        { "task.target_column", "nothing", () => WithGeneric(t => t with { TargetColumn = "" }) },
        { "task.classes", "[x]", () => WithGeneric(t => t with { Classes = ["x"] }) },
        { "task.classes[2]", "'x'", () => WithGeneric(t => t with { Classes = ["x", "y", "x"] }) },
        { "task.prompt_template", "'{q'", () => WithInstruction(t => t with { PromptTemplate = "{q" }) },
        { "task.prompt_template", "'no field'", () => WithInstruction(t => t with { PromptTemplate = "no field" }) },
        { "task.prompt_template", "'{q} {answer}'", () => WithInstruction(t => t with { PromptTemplate = "{q} {answer}" }) },
        { "task.text_columns", "[a]", () => WithInstruction(t => t with { TextColumns = ["a"] }) },
        { "clients.count", "0", () => WithClients(c => c with { Count = 0, Cuts = [] }) },
        { "clients.count", "8", () => WithTask(t => t with { TrainLimit = 7 }) },
        { "clients.partition", "'random'", () => WithClients(c => c with { Partition = "random" }) },
        { "clients.alpha", "0", () => WithClients(c => c with { Alpha = 0 }) },
        { "clients.exponent", "Infinity", () => WithClients(c => c with { Exponent = double.PositiveInfinity }) },
        { "clients.classes_per_client", "0", () => WithClients(c => c with { ClassesPerClient = 0 }) },
        { "clients.classes_per_client", "3", () => WithClients(c => c with { ClassesPerClient = 3 }) },
        { "clients.classes_per_client", "1", () => Generic with { Clients = Generic.Clients with { Count = 2 } } },
        { "clients.partition", "'classes'", () => Instruction with { Clients = Good.Clients } },
        { "clients.cuts[1]", "4", () => WithClients(c => c with { Cuts = [3, 4] }) },
        { "clients.cuts[0]", "-1", () => WithClients(c => c with { Cuts = [-1] }) },
        { "clients.cuts", "[0, 1, 2]", () => WithClients(c => c with { Count = 2, Cuts = [0, 1, 2] }) },
        { "task.train", "'train.tsv'", () => OwnData with { Task = OwnData.Task with { Train = "train.tsv" } } },
        { "task.train_limit", "2", () => OwnData with { Task = OwnData.Task with { TrainLimit = 2 } } },
        { "task.evaluation", "nothing", () => OwnData with { Task = OwnData.Task with { Evaluation = "" } } },
        { "task.classes", "nothing", () => OwnData with { Task = OwnData.Task with { Classes = [] } } },
        { "clients.cuts", "[1, 2]", () => OwnData with { Clients = OwnData.Clients with { Cuts = [1, 2] } } },
        { "device.micro_batch", "0", () => WithDevice(d => d with { MicroBatch = 0 }) },
        { "device.wire_type", "9", () => WithDevice(d => d with { WireType = (WireType)9 }) },
        { "device.weights", "'int4'", () => WithDevice(d => d with { Weights = "int4" }) },
        { "device.message_bytes", "100", () => WithDevice(d => d with { MessageBytes = 100 }) },
        { "device.message_bytes", "33554432", () => WithDevice(d => d with { MessageBytes = 32 << 20 }) },
        { "device.threads", "0", () => WithDevice(d => d with { Threads = 0 }) },
        { "training.epochs", "0", () => WithTraining(t => t with { Epochs = 0 }) },
        { "training.batch_size", "0", () => WithTraining(t => t with { BatchSize = 0 }) },
        { "training.micro_batch", "33", () => WithTraining(t => t with { MicroBatch = 33 }) },
        { "training.micro_batch", "-1", () => WithTraining(t => t with { MicroBatch = -1 }) },
        { "training.order", "'any'", () => WithTraining(t => t with { Order = "any" }) },
        { "training.learning_rate", "0", () => WithTraining(t => t with { LearningRate = 0 }) },
        { "training.learning_rate", "NaN", () => WithTraining(t => t with { LearningRate = double.NaN }) },
        { "training.stages", "0", () => WithTraining(t => t with { Stages = 0 }) },
        { "training.replicas", "65", () => WithTraining(t => t with { Replicas = 65 }) },
        { "training.pipeline", "'zero'", () => WithTraining(t => t with { Pipeline = "zero" }) },
        { "training.stage_boundaries", "[8, 7]", () => WithTraining(t => t with { StageBoundaries = [8, 7] }) },
        { "training.stage_boundaries", "[0]", () => WithTraining(t => t with { StageBoundaries = [0] }) },
        { "training.schedule", "'step'", () => WithTraining(t => t with { Schedule = "step" }) },
        { "training.warmup_ratio", "1", () => WithTraining(t => t with { WarmupRatio = 1 }) },
        { "training.weight_decay", "-1", () => WithTraining(t => t with { WeightDecay = -1 }) },
        { "training.beta1", "1", () => WithTraining(t => t with { Beta1 = 1 }) },
        { "training.beta2", "-0.5", () => WithTraining(t => t with { Beta2 = -0.5 }) },
        { "training.epsilon", "0", () => WithTraining(t => t with { Epsilon = 0 }) },
        { "training.max_gradient_norm", "-1", () => WithTraining(t => t with { MaxGradientNorm = -1 }) },
        { "training.checkpoint_every_steps", "0", () => WithTraining(t => t with { CheckpointEverySteps = 0 }) },
        { "training.threads", "1025", () => WithTraining(t => t with { Threads = 1025 }) },
        { "cache.directory", "nothing", () => Good with { Cache = Good.Cache with { Directory = "" } } },
        { "cache.max_bytes", "1000", () => Good with { Cache = Good.Cache with { MaxBytes = 1000 } } },
    };

    [Theory]
    [MemberData(nameof(OneFault))]
    public void Validate_OneImpossibleValue_GivesThatFaultAlone(string path, string found, Func<RunSpec> spec)
    {
        var fault = Assert.Single(Validate(spec()));
        Assert.Equal((path, found), (fault.Path, fault.Found));
        Assert.NotEmpty(fault.Expected);
    }

    [Fact]
    public void Validate_GoodSpecs_GivesNoFault()
    {
        Assert.Empty(Validate(Good));
        Assert.Empty(Validate(Generic));
        Assert.Empty(Validate(Instruction));
        Assert.Empty(Validate(OwnData));
        Assert.Empty(Validate(OwnData with { Task = Good.Task with { Train = "" } }));
        Assert.Empty(Validate(OwnData with { Task = Instruction.Task with { Train = "" } }));
        Assert.Empty(Validate(WithTraining(t => t with { MicroBatch = t.BatchSize, MaxGradientNorm = 0, WarmupRatio = 0, Beta1 = 0 })));
    }

    [Fact]
    public void ValidateForOneProcess_DevicesWithDataOfTheirOwn_NeedDeviceWorkers()
    {
        var fault = Assert.Single(RunSpecValidator.ValidateForOneProcess(OwnData));
        Assert.Equal(("clients.partition", "'devices'"), (fault.Path, fault.Found));
        Assert.Contains("device workers", fault.Action, StringComparison.Ordinal);
        Assert.Empty(RunSpecValidator.ValidateForOneProcess(Good));
    }

    [Fact]
    public void Validate_EveryPathOfEveryFault_IsAKeyOfTheSpec()
    {
        var keys = Keys(typeof(RunSpec), "").ToHashSet(StringComparer.Ordinal);
        var paths = OneFault().SelectMany(row => Validate(row.Data.Item3())).Concat(RunSpecValidator.ValidateAgainstModel(Impossible, Gpt2))
            .Select(f => Regex.Replace(f.Path, @"\[\d+\]$", ""));
        Assert.All(paths, path => Assert.Contains(path, keys));
    }

    [Fact]
    public void Validate_TheDefaults_NamesAllThatIsMissingAtOnce() =>
        Assert.Equal(
            ["name", "model.path", "lora.targets", "task.kind", "task.train", "task.evaluation"],
            Validate(new RunSpec()).Select(f => f.Path));

    [Fact]
    public void Fault_AsText_SaysWhereWhatAndWhatToDo()
    {
        var fault = Assert.Single(Validate(WithTraining(t => t with { LearningRate = -3 })));
        Assert.Equal(
            "training.learning_rate: found -3; expected a finite number greater than 0; LoRA usually trains between 1e-4 and 1e-3", fault.ToString());
    }

    [Fact]
    public void ValidateAgainstModel_EverythingBeyondIt_GivesAllFaults() =>
        Assert.Equal(
            ["model.boundary: 6", "lora.targets[1]: 'q_proj'", "lora.targets[2]: 'proj'", "task.max_length: 257", "task.generate_tokens: 256"],
            RunSpecValidator.ValidateAgainstModel(Impossible, Gpt2).Select(f => $"{f.Path}: {f.Found}"));

    [Fact]
    public void ValidateAgainstModel_AtTheLimits_GivesNoFault() =>
        Assert.Empty(RunSpecValidator.ValidateAgainstModel(
            Good with
            {
                Model = Good.Model with { Boundary = 5 },
                Lora = Good.Lora with { Targets = ["c_attn", "attn.c_proj", "mlp.c_proj"] },
                Task = Good.Task with { MaxLength = 256, GenerateTokens = 5000 },
            },
            Gpt2));

    private static RunSpec Impossible => Instruction with
    {
        Model = Good.Model with { Boundary = 6 },
        Lora = Good.Lora with { Targets = ["c_proj", "q_proj", "proj"] },
        Task = Instruction.Task with { MaxLength = 257, GenerateTokens = 256 },
    };

    private static IReadOnlyList<RunSpecFault> Validate(RunSpec spec) => RunSpecValidator.Validate(
        spec, file => !file.StartsWith("missing", StringComparison.Ordinal), folder => folder == "models/small");

    private static RunSpec WithLora(Func<LoraSpec, LoraSpec> change) => Good with { Lora = change(Good.Lora) };

    private static RunSpec WithTask(Func<TaskSpec, TaskSpec> change) => Good with { Task = change(Good.Task) };

    private static RunSpec WithGeneric(Func<TaskSpec, TaskSpec> change) => Generic with { Task = change(Generic.Task) };

    private static RunSpec WithInstruction(Func<TaskSpec, TaskSpec> change) => Instruction with { Task = change(Instruction.Task) };

    private static RunSpec WithClients(Func<ClientsSpec, ClientsSpec> change) => Good with { Clients = change(Good.Clients) };

    private static RunSpec WithDevice(Func<DeviceSpec, DeviceSpec> change) => Good with { Device = change(Good.Device) };

    private static RunSpec WithTraining(Func<TrainingSpec, TrainingSpec> change) => Good with { Training = change(Good.Training) };

    private static IEnumerable<string> Keys(Type type, string prefix) => type.GetProperties().Where(p => p.CanWrite).SelectMany(property =>
    {
        var path = prefix + JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name);
        return property.PropertyType is { IsClass: true } section && section.Namespace == type.Namespace ? Keys(section, path + ".") : [path];
    });
}
