using k8s.Models;

namespace SplitFrozen.Deploy.Tests.Rendering;

/// <summary>What makes pods.</summary>
/// <param name="Kind">Deployment or StatefulSet.</param>
/// <param name="Name">Its name, also that of its first container.</param>
/// <param name="Replicas">Null where somebody else says how many.</param>
/// <param name="Selector">Selects its pods.</param>
/// <param name="Template">The pods.</param>
/// <param name="ClaimTemplates">Volumes that every pod gets for itself.</param>
internal sealed record Workload(string Kind, string Name, int? Replicas, V1LabelSelector Selector, V1PodTemplateSpec Template, string[] ClaimTemplates)
{
    public V1PodSpec Pod => Template.Spec;

    public V1Container Main => Pod.Containers[0];

    public IEnumerable<V1Container> Containers => [.. Pod.InitContainers ?? [], .. Pod.Containers];

    public bool IsSelectedBy(IDictionary<string, string>? labels) =>
        labels is null || labels.All(label => Template.Metadata.Labels.TryGetValue(label.Key, out var value) && value == label.Value);
}
