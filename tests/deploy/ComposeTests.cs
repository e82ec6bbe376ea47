using System.Text.Json.Nodes;
using SplitFrozen.Deploy.Tests.Checks;
using SplitFrozen.Deploy.Tests.Rendering;

namespace SplitFrozen.Deploy.Tests;

public sealed class ComposeTests
{
    [Fact]
    public void Compose_AsItIs_PassesTheCheck() => Assert.Empty(ComposeCheck.Faults(Compose.Read()));

    [Fact]
    public void Compose_HasThePartsOfTheDevOverlay()
    {
        var services = Compose.Read()["services"]!.AsObject();
        var workloads = Kustomize.Render("dev").Workloads;
        Assert.Equal(workloads.Select(workload => workload.Name).Append("coordinator-standby").Order(), services.Select(service => service.Key).Order());
        Assert.All(workloads, workload => Assert.Equal(workload.Main.Image, (string?)services[workload.Name]!["image"]));
    }

    [Theory]
    [InlineData("trainer", "environment/Trainer__Foldr", "/runs", "Foldr")]
    [InlineData("trainer", "environment/Transport__QueueKind", "Mirrored", "Mirrored")]
    [InlineData("trainer", "environment/OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317", "connects to collector")]
    [InlineData("coordinator", "environment/Coordinator__AllowAnonymous", "false", "would serve everyone who reaches http://*:8080")]
    [InlineData("trainer", "stop_grace_period", "30s", "is killed after 00:00:30")]
    [InlineData("trainer", "user", "0:0", "may do more")]
    [InlineData("redis", "image", "redis:latest", "has no version")]
    [InlineData("jaeger", "ports/0", "16686:16686", "open to other machines")]
    [InlineData("redis", "volumes/1", "./kubernetes/base/gone.conf:/etc/redis/redis.conf:ro", "gone.conf is not there")]
    [InlineData("rabbitmq", "healthcheck", null, "waits for rabbitmq")]
    [InlineData("rabbitmq", "read_only", null, "may do more")]
    public void Compose_BrokenInOnePlace_IsFound(string service, string path, string? value, string fault)
    {
        var compose = Compose.Read();
        JsonNode at = compose["services"]![service]!;
        var parts = path.Split('/');
        foreach (var part in parts[..^1])
        {
            at = at[part]!;
        }

        if (at is JsonArray array)
        {
            array[int.Parse(parts[^1], System.Globalization.CultureInfo.InvariantCulture)] = value;
        }
        else
        {
            at[parts[^1]] = value;
        }

        Assert.Contains(ComposeCheck.Faults(compose), found => found.Contains(fault, StringComparison.Ordinal));
    }
}
