using k8s.Models;
using SplitFrozen.Deploy.Tests.Rendering;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>Whatever selects pods selects some, and whatever names a workload names one.</summary>
internal static class SelectorCheck
{
    public static IEnumerable<string> Faults(Manifests manifests)
    {
        var workloads = manifests.Workloads;
        foreach (var workload in workloads.Where(workload => !workload.IsSelectedBy(workload.Selector.MatchLabels)))
        {
            yield return $"{workload.Kind} {workload.Name} does not select its own pods.";
        }

        foreach (var workload in workloads.Where(w => w.Kind == "StatefulSet"))
        {
            var governing = manifests.All<V1StatefulSet>().Single(set => set.Metadata.Name == workload.Name).Spec.ServiceName;
            if (!manifests.All<V1Service>().Any(s => s.Metadata.Name == governing && s.Spec.ClusterIP == "None" && workload.IsSelectedBy(s.Spec.Selector)))
            {
                yield return $"StatefulSet {workload.Name} has no headless service {governing}.";
            }
        }

        foreach (var (what, labels) in Selectors(manifests))
        {
            if (!workloads.Any(workload => workload.IsSelectedBy(labels)))
            {
                yield return $"{what} selects no pods: {string.Join(", ", labels!.Select(label => $"{label.Key}={label.Value}"))}.";
            }
        }

        foreach (var scaler in manifests.Of("ScaledObject"))
        {
            var target = scaler["spec"]!["scaleTargetRef"]!;
            var (kind, name) = ((string?)target["kind"], (string?)target["name"]);
            if (workloads.SingleOrDefault(workload => workload.Kind == kind && workload.Name == name) is not { } scaled)
            {
                yield return $"ScaledObject {scaler["metadata"]!["name"]} scales {kind} {name}, which is not there.";
            }
            else if (scaled.Replicas is not null)
            {
                yield return $"{kind} {name} sets replicas, which its ScaledObject sets too.";
            }
        }
    }

    private static IEnumerable<(string What, IDictionary<string, string>? Labels)> Selectors(Manifests manifests) =>
    [
        .. manifests.All<V1Service>().Select(service => ($"Service {service.Metadata.Name}", service.Spec.Selector)),
        .. manifests.All<V1PodDisruptionBudget>().Select(budget => ($"PodDisruptionBudget {budget.Metadata.Name}", budget.Spec.Selector.MatchLabels)),
        .. manifests.All<V1NetworkPolicy>().SelectMany(policy => PodSelectors(policy).Select(selector => ($"NetworkPolicy {policy.Metadata.Name}", selector.MatchLabels))),
        .. manifests.Workloads.SelectMany(workload => (workload.Pod.TopologySpreadConstraints ?? [])
            .Select(spread => ($"A spread constraint of {workload.Name}", spread.LabelSelector.MatchLabels))),
    ];

    private static IEnumerable<V1LabelSelector> PodSelectors(V1NetworkPolicy policy) =>
        (policy.Spec.Ingress ?? []).SelectMany(rule => rule.FromProperty ?? []).Concat((policy.Spec.Egress ?? []).SelectMany(rule => rule.To ?? []))
            .Where(peer => peer.NamespaceSelector is null).Select(peer => peer.PodSelector).Append(policy.Spec.PodSelector);
}
