using System.Text.Json.Nodes;
using k8s;
using k8s.Models;

namespace SplitFrozen.Deploy.Tests.Rendering;

/// <summary>Everything that one overlay gives a cluster.</summary>
internal sealed class Manifests
{
    private Manifests(IReadOnlyList<JsonObject> documents) => Documents = documents;

    public IReadOnlyList<JsonObject> Documents { get; }

    /// <summary>The one namespace of the overlay.</summary>
    public string Namespace => All<V1Namespace>().Single().Metadata.Name;

    public IReadOnlyList<Workload> Workloads =>
    [
        .. All<V1Deployment>().Select(d => new Workload("Deployment", d.Metadata.Name, d.Spec.Replicas, d.Spec.Selector, d.Spec.Template, [])),
        .. All<V1StatefulSet>().Select(s => new Workload(
            "StatefulSet", s.Metadata.Name, s.Spec.Replicas, s.Spec.Selector, s.Spec.Template, [.. (s.Spec.VolumeClaimTemplates ?? []).Select(claim => claim.Metadata.Name)])),
    ];

    public static Manifests Parse(string yaml) => new(Yaml.Documents(yaml));

    /// <summary>All of one kind, loaded strictly: an unknown field or a value of the wrong type throws.</summary>
    public IEnumerable<T> All<T>()
        where T : IKubernetesObject
    {
        var kind = typeof(T).Name["V1".Length..];
        return Of(kind).Select(document => KubernetesYaml.Deserialize<T>(document.ToJsonString(), strict: true));
    }

    public IEnumerable<JsonObject> Of(string kind) => Documents.Where(document => (string?)document["kind"] == kind);

    /// <summary>A copy in which one document is changed.</summary>
    /// <param name="kind">Its kind.</param>
    /// <param name="name">Its name, for what kustomize generates without the hash.</param>
    /// <param name="change">Changes it.</param>
    public Manifests With(string kind, string name, Action<JsonObject> change)
    {
        JsonObject[] copy = [.. Documents.Select(document => document.DeepClone().AsObject())];
        change(copy.Single(document => Is(document, kind, name)));
        return new Manifests(copy);
    }

    /// <summary>A copy without one document.</summary>
    public Manifests Without(string kind, string name)
    {
        JsonObject[] rest = [.. Documents.Where(document => !Is(document, kind, name))];
        Assert.Equal(Documents.Count - 1, rest.Length);
        return new Manifests(rest);
    }

    private static bool Is(JsonObject document, string kind, string name)
    {
        var actual = (string)document["metadata"]!["name"]!;
        var generated = kind is "ConfigMap" or "Secret" && actual.StartsWith(name + "-", StringComparison.Ordinal) && actual.Length == name.Length + 11;
        return (string?)document["kind"] == kind && (actual == name || generated);
    }
}
