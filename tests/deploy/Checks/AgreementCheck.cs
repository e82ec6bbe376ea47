using System.Globalization;
using k8s.Models;
using SplitFrozen.Deploy.Tests.Rendering;
using SplitFrozen.Deploy.Tests.Settings;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>Settings that must agree with each other and with the resources: all services alike, the cache with Redis' memory, queues with the broker's nodes.</summary>
internal static class AgreementCheck
{
    public static IEnumerable<string> Faults(Manifests manifests)
    {
        var workloads = manifests.Workloads.ToDictionary(workload => workload.Name, StringComparer.Ordinal);
        var environments = ServiceSettings.All.Keys.Where(workloads.ContainsKey).ToDictionary(
            name => name, name => ContainerEnvironment.Of(manifests, workloads[name], workloads[name].Main), StringComparer.Ordinal);
        foreach (var name in environments.Values.SelectMany(environment => environment.Keys).Where(name => name.StartsWith("Transport__", StringComparison.Ordinal)).Distinct(StringComparer.Ordinal))
        {
            if (environments.Values.Select(environment => environment.GetValueOrDefault(name)).Distinct(StringComparer.Ordinal).Count() > 1)
            {
                yield return $"{name} is not the same for all services.";
            }
        }

        var coordinator = environments["coordinator"];
        var cache = Bytes(coordinator, "Transport__CacheBytes");
        if (MemoryLimit(workloads["redis"]) < cache * 5 / 4)
        {
            yield return $"Redis may use {MemoryLimit(workloads["redis"])} bytes, with a cache of {cache} and the ledger beside it.";
        }

        var nodes = workloads["rabbitmq"].Replicas ?? 1;
        if (coordinator.GetValueOrDefault("Transport__QueueKind", "Quorum") == "Quorum" && (nodes < 3 || nodes % 2 == 0))
        {
            yield return "Quorum queues need three broker nodes, or more of an odd number.";
        }

        if (Bytes(environments["device-worker"], "Device__MemoryBytes") > MemoryLimit(workloads["device-worker"]) * 4 / 5)
        {
            yield return "A device worker promises more memory for weights than its limit leaves.";
        }
    }

    private static long Bytes(IReadOnlyDictionary<string, string> environment, string name) =>
        long.TryParse(environment.GetValueOrDefault(name), NumberStyles.None, CultureInfo.InvariantCulture, out var bytes) ? bytes : 0;

    private static long MemoryLimit(Workload workload) => (workload.Main.Resources?.Limits?.TryGetValue("memory", out var limit) == true ? limit : new ResourceQuantity("0")).ToInt64();
}
