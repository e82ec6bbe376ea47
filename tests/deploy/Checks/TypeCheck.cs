using k8s;
using k8s.Models;
using SplitFrozen.Deploy.Tests.Rendering;
using YamlDotNet.Core;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>Every object loads strictly into its type of the Kubernetes client; custom ones have no type, and a schema only.</summary>
internal static class TypeCheck
{
    public static IEnumerable<string> Faults(Manifests manifests) =>
    [
        .. Faults<V1Namespace>(manifests), .. Faults<V1ConfigMap>(manifests), .. Faults<V1Secret>(manifests), .. Faults<V1Service>(manifests),
        .. Faults<V1PersistentVolumeClaim>(manifests), .. Faults<V1Deployment>(manifests), .. Faults<V1StatefulSet>(manifests),
        .. Faults<V1PodDisruptionBudget>(manifests), .. Faults<V1NetworkPolicy>(manifests),
    ];

    private static IEnumerable<string> Faults<T>(Manifests manifests)
        where T : IKubernetesObject
    {
        try
        {
            return [.. manifests.All<T>().Where(loaded => loaded.Kind is null or "").Select(_ => $"{typeof(T).Name} has no kind.")];
        }
        catch (YamlException exception)
        {
            return [$"{typeof(T).Name}: {exception.Message} {exception.InnerException?.Message}"];
        }
    }
}
