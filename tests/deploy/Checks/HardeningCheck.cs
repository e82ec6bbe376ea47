using k8s.Models;
using SplitFrozen.Deploy.Tests.Rendering;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>No pod may do more than its work needs, and none goes without probes and limits.</summary>
internal static class HardeningCheck
{
    public static IEnumerable<string> Faults(Manifests manifests)
    {
        if (!manifests.All<V1Namespace>().Single().Metadata.Labels.Contains(KeyValuePair.Create("pod-security.kubernetes.io/enforce", "restricted")))
        {
            yield return "The namespace does not enforce the restricted profile.";
        }

        foreach (var workload in manifests.Workloads)
        {
            foreach (var fault in PodFaults(workload).Concat(workload.Containers.SelectMany(ContainerFaults)))
            {
                yield return $"{workload.Name}: {fault}";
            }
        }
    }

    private static IEnumerable<string> PodFaults(Workload workload)
    {
        var pod = workload.Pod;
        if (pod.SecurityContext?.RunAsNonRoot != true || pod.SecurityContext.RunAsUser is null or < 1)
        {
            yield return "its pod may run as root.";
        }

        if (pod.SecurityContext?.SeccompProfile?.Type != "RuntimeDefault")
        {
            yield return "its pod has no seccomp profile.";
        }

        if (pod.AutomountServiceAccountToken != false)
        {
            yield return "its pod gets a token for the cluster's interface.";
        }

        // Variables made of the services' names would be settings of RabbitMQ and Redis.
        if (pod.EnableServiceLinks != false)
        {
            yield return "its pod gets a variable for every service.";
        }

        if (pod.HostNetwork == true || pod.HostPID == true || pod.HostIPC == true || (pod.Volumes ?? []).Any(volume => volume.HostPath is not null))
        {
            yield return "its pod reaches into the host.";
        }

        if (workload.Main.LivenessProbe is null || workload.Main.ReadinessProbe is null)
        {
            yield return "nobody asks whether it is alive and ready.";
        }
    }

    private static IEnumerable<string> ContainerFaults(V1Container container)
    {
        var security = container.SecurityContext;
        if (security is not { AllowPrivilegeEscalation: false, ReadOnlyRootFilesystem: true } || security.Privileged == true || security.RunAsUser == 0)
        {
            yield return $"{container.Name} may gain privileges or write to its image.";
        }

        if (security?.Capabilities is not { Drop: ["ALL"], Add: null })
        {
            yield return $"{container.Name} keeps capabilities.";
        }

        if (container.Resources?.Requests?.ContainsKey("cpu") != true || !container.Resources.Requests.ContainsKey("memory") || container.Resources.Limits?.ContainsKey("memory") != true)
        {
            yield return $"{container.Name} does not say what it needs, or has no limit of memory.";
        }
    }
}
