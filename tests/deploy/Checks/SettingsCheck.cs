using SplitFrozen.Deploy.Tests.Rendering;
using SplitFrozen.Deploy.Tests.Settings;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>Every service is there, knows each of its environment variables, and takes the value.</summary>
internal static class SettingsCheck
{
    public static IEnumerable<string> Faults(Manifests manifests)
    {
        foreach (var (name, settings) in ServiceSettings.All)
        {
            if (manifests.Workloads.SingleOrDefault(workload => workload.Name == name) is not { } workload)
            {
                yield return $"There is no {name}.";
                continue;
            }

            var environment = ContainerEnvironment.Of(manifests, workload, workload.Main);
            foreach (var fault in settings.Faults(environment, ContainerEnvironment.Parts(workload.Main)))
            {
                yield return $"{name}: {fault}";
            }

            foreach (var left in environment.Where(variable => ContainerEnvironment.Reference().IsMatch(variable.Value)))
            {
                yield return $"{name}: {left.Key} refers to a variable that is not set before it.";
            }
        }

        // A secret in a config map would be readable by whoever may look at settings.
        foreach (var map in manifests.All<k8s.Models.V1ConfigMap>())
        {
            foreach (var (key, _) in map.Data.Where(entry => entry.Value.Contains("password", StringComparison.OrdinalIgnoreCase) || entry.Value.Contains("amqp://", StringComparison.Ordinal)))
            {
                yield return $"Config map {map.Metadata.Name} has what looks like a password in {key}.";
            }
        }
    }
}
