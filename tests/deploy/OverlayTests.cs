using SplitFrozen.Deploy.Tests.Checks;
using SplitFrozen.Deploy.Tests.Rendering;
using SplitFrozen.TestServers;

namespace SplitFrozen.Deploy.Tests;

/// <summary>Every overlay passes every check. That each check finds what it is for is held by <see cref="BrokenManifestTests"/>.</summary>
public sealed class OverlayTests
{
    private static readonly Dictionary<string, Func<Manifests, IEnumerable<string>>> s_checks = new(StringComparer.Ordinal)
    {
        ["types"] = TypeCheck.Faults,
        ["schema"] = SchemaCheck.Faults,
        ["selectors"] = SelectorCheck.Faults,
        ["ports"] = PortCheck.Faults,
        ["references"] = ReferenceCheck.Faults,
        ["mounts"] = MountCheck.Faults,
        ["settings"] = SettingsCheck.Faults,
        ["agreement"] = AgreementCheck.Faults,
        ["network policies"] = NetworkPolicyCheck.Faults,
        ["hardening"] = HardeningCheck.Faults,
        ["images"] = ImageCheck.Faults,
        ["shutdown"] = ShutdownCheck.Faults,
    };

    public static TheoryData<string, string> OverlaysAndChecks =>
        [.. from overlay in Overlays from check in s_checks.Keys select (overlay, check)];

    private static IEnumerable<string> Overlays =>
        Directory.EnumerateDirectories(Path.Combine(Programs.Root, "deploy", "kubernetes", "overlays")).Select(folder => Path.GetFileName(folder)).Order(StringComparer.Ordinal);

    [Fact]
    public void Overlays_AreTheThree() => Assert.Equal(["dev", "gpu", "production"], Overlays);

    [Theory]
    [MemberData(nameof(OverlaysAndChecks))]
    public void Overlay_Rendered_PassesTheCheck(string overlay, string check) => Assert.Empty(s_checks[check](Kustomize.Render(overlay)));

    [Fact]
    public void Gpu_Trainer_AsksForAGpuAndNothingElseDiffers()
    {
        var gpu = Kustomize.Render("gpu");
        Assert.Equal("1", gpu.Workloads.Single(workload => workload.Name == "trainer").Main.Resources.Limits["nvidia.com/gpu"].ToString());
        Assert.Equal(
            Kustomize.Render("production").Documents.Select(document => document.ToJsonString()).Where(text => !text.Contains("\"name\":\"trainer\"", StringComparison.Ordinal)),
            gpu.Documents.Select(document => document.ToJsonString()).Where(text => !text.Contains("\"name\":\"trainer\"", StringComparison.Ordinal)));
    }

    [Fact]
    public void Coordinators_AreTwoAndOneStaysInADisruption()
    {
        var production = Kustomize.Render("production");
        Assert.Equal(2, production.Workloads.Single(workload => workload.Name == "coordinator").Replicas);
        Assert.Equal("1", production.All<k8s.Models.V1PodDisruptionBudget>().Single(budget => budget.Metadata.Name == "coordinator").Spec.MinAvailable.Value);
    }
}
