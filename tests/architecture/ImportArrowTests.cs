namespace SplitFrozen.Architecture.Tests;

/// <summary>Holds the arrows of <c>docs/architecture.md</c> §4: imports point one way.</summary>
public sealed class ImportArrowTests
{
    private static readonly string[] Infrastructure =
        ["infrastructure/messaging", "infrastructure/activation-cache", "infrastructure/service-defaults", "infrastructure/transport"];

    private static readonly Dictionary<string, string[]> Allowed = new(StringComparer.Ordinal)
    {
        ["contracts"] = [],
        ["engine/torch"] = [],
        ["engine/pipelining"] = [],
        ["engine/tokenizers"] = [],
        ["engine/models"] = ["engine/torch", "contracts"],
        ["engine/tasks"] = ["engine/tokenizers", "contracts"],
        ["engine/training"] = ["engine/models", "engine/tasks", "engine/pipelining"],
        ["comparison/methods"] = ["engine/training"],
        ["comparison/study"] = ["comparison/methods"],
        ["infrastructure/messaging"] = ["contracts"],
        ["infrastructure/activation-cache"] = ["contracts"],
        ["infrastructure/service-defaults"] = ["contracts"],
        ["infrastructure/transport"] = ["infrastructure/messaging", "infrastructure/activation-cache", "infrastructure/service-defaults"],
        ["services/device-worker"] = ["engine/models", "engine/tasks", .. Infrastructure],
        ["services/coordinator"] = ["engine/tasks", .. Infrastructure],
        ["services/trainer"] = ["engine/training", .. Infrastructure],
        ["comparison/fleet"] = ["engine/models", "contracts"],
        ["comparison/leakage"] = ["engine/models", "engine/tasks"],
        ["cli"] = ["engine/pipelining", "comparison/fleet", "comparison/leakage", "comparison/study", "services/device-worker", "services/coordinator", "services/trainer"],
        ["bench"] =
        [
            "comparison/fleet", "engine/training", "cli", "services/device-worker", "services/coordinator", "services/trainer", .. Infrastructure, "tests/otlp", "tests/servers",
        ],
    };

    private readonly ProjectGraph _graph = ProjectGraph.Read();

    public static TheoryData<string> ProductFolders => [.. Allowed.Keys];

    [Theory]
    [MemberData(nameof(ProductFolders))]
    public void Project_References_OnlyWhereAnArrowPoints(string folder) =>
        Assert.Empty(_graph.Projects[folder].References.Except(Allowed[folder]));

    [Fact]
    public void EveryProject_OutsideTests_HasItsArrows() =>
        Assert.Equal(Allowed.Keys.Order(), _graph.Projects.Keys.Where(f => !f.StartsWith("tests/", StringComparison.Ordinal)).Order());

    [Fact]
    public void EveryProject_IsInTheSolution()
    {
        var solution = File.ReadAllText(Path.Combine(_graph.Root, "SplitFrozen.sln")).Replace('\\', '/');
        Assert.All(_graph.Projects.Values, p => Assert.Contains(p.File, solution, StringComparison.Ordinal));
    }

    [Fact]
    public void DeviceWorker_ReachesNoTraining() =>
        Assert.DoesNotContain("engine/training", _graph.Closure("services/device-worker"));

    [Fact]
    public void Coordinator_ReachesNoTensors()
    {
        Assert.DoesNotContain("engine/torch", _graph.Closure("services/coordinator"));
        Assert.DoesNotContain("TorchSharp", _graph.PackageClosure("services/coordinator"));
    }

    [Theory]
    [InlineData("engine/models")]
    [InlineData("engine/tasks")]
    [InlineData("engine/training")]
    public void Engine_KnowsNoBrokerCacheOrWeb(string folder) =>
        Assert.DoesNotContain(
            _graph.PackageClosure(folder),
            p => p.StartsWith("RabbitMQ", StringComparison.Ordinal) || p.StartsWith("MassTransit", StringComparison.Ordinal)
                || p.StartsWith("StackExchange", StringComparison.Ordinal) || p.StartsWith("Microsoft.Garnet", StringComparison.Ordinal)
                || p.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal) || p.StartsWith("OpenTelemetry", StringComparison.Ordinal));

    [Fact]
    public void NoService_ReferencesAnother() =>
        Assert.All(
            _graph.Projects.Where(p => p.Key.StartsWith("services/", StringComparison.Ordinal)),
            p => Assert.DoesNotContain(p.Value.References, r => r.StartsWith("services/", StringComparison.Ordinal)));
}
