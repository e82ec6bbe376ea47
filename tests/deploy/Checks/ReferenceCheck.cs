using k8s.Models;
using SplitFrozen.Deploy.Tests.Rendering;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>Every key of a secret or a config map and every claim that a pod names is there, or comes from the secret store.</summary>
internal static class ReferenceCheck
{
    public static IEnumerable<string> Faults(Manifests manifests)
    {
        var maps = manifests.All<V1ConfigMap>().ToDictionary(map => map.Metadata.Name, map => map.Data.Keys.ToHashSet(StringComparer.Ordinal), StringComparer.Ordinal);
        var secrets = Secrets(manifests);
        var claims = manifests.All<V1PersistentVolumeClaim>().Select(claim => claim.Metadata.Name).ToHashSet(StringComparer.Ordinal);
        foreach (var workload in manifests.Workloads)
        {
            foreach (var container in workload.Containers)
            {
                foreach (var source in container.EnvFrom ?? [])
                {
                    if (!maps.ContainsKey(source.ConfigMapRef?.Name ?? ""))
                    {
                        yield return $"{container.Name} takes its environment from {source.ConfigMapRef?.Name ?? "something else than a config map"}, which is not there.";
                    }
                }

                foreach (var fault in (container.Env ?? []).SelectMany(variable => KeyFaults(variable, maps, secrets)))
                {
                    yield return $"{container.Name}: {fault}";
                }
            }

            foreach (var volume in workload.Pod.Volumes ?? [])
            {
                var known = volume switch
                {
                    { ConfigMap: { } map } => maps.TryGetValue(map.Name, out var keys) && (map.Items ?? []).All(item => keys.Contains(item.Key)),
                    { Secret: { } secret } => secrets.TryGetValue(secret.SecretName, out var keys) && (secret.Items ?? []).All(item => keys.Contains(item.Key)),
                    { PersistentVolumeClaim: { } claim } => claims.Contains(claim.ClaimName),
                    { EmptyDir.SizeLimit: not null } => true,
                    _ => false,
                };
                if (!known)
                {
                    yield return $"Volume {volume.Name} of {workload.Name} is of something that is not there, or an empty folder without a limit.";
                }
            }
        }

        foreach (var fault in TriggerFaults(manifests, secrets))
        {
            yield return fault;
        }

        foreach (var document in manifests.Documents.Where(document => (string?)document["kind"] != "Namespace" && (string?)document["metadata"]!["namespace"] != manifests.Namespace))
        {
            yield return $"{document["kind"]} {document["metadata"]!["name"]} is not in the namespace {manifests.Namespace}.";
        }
    }

    /// <summary>A scaler's token is there, and so is the secret that it comes from.</summary>
    private static IEnumerable<string> TriggerFaults(Manifests manifests, Dictionary<string, HashSet<string>> secrets)
    {
        var authentications = manifests.Of("TriggerAuthentication").ToDictionary(document => (string)document["metadata"]!["name"]!, StringComparer.Ordinal);
        foreach (var name in manifests.Of("ScaledObject").SelectMany(scaler => scaler["spec"]!["triggers"]!.AsArray()).Select(trigger => (string?)trigger!["authenticationRef"]?["name"]))
        {
            if (name is null || !authentications.ContainsKey(name))
            {
                yield return $"A scaler asks with the authentication '{name}', which is not there.";
            }
        }

        foreach (var target in authentications.Values.SelectMany(document => document["spec"]!["secretTargetRef"]!.AsArray()))
        {
            if (secrets.GetValueOrDefault((string)target!["name"]!)?.Contains((string)target["key"]!) != true)
            {
                yield return $"A scaler's {target["parameter"]} is the key {target["key"]} of the secret {target["name"]}, which is not there.";
            }
        }
    }

    private static IEnumerable<string> KeyFaults(V1EnvVar variable, Dictionary<string, HashSet<string>> maps, Dictionary<string, HashSet<string>> secrets)
    {
        if (variable.ValueFrom?.SecretKeyRef is { } secret && secrets.GetValueOrDefault(secret.Name)?.Contains(secret.Key) != true)
        {
            yield return $"{variable.Name} is the key {secret.Key} of the secret {secret.Name}, which is not there.";
        }

        if (variable.ValueFrom?.ConfigMapKeyRef is { } map && maps.GetValueOrDefault(map.Name)?.Contains(map.Key) != true)
        {
            yield return $"{variable.Name} is the key {map.Key} of the config map {map.Name}, which is not there.";
        }
    }

    /// <summary>Secrets of the overlay, and those that the secret store's operator will make.</summary>
    private static Dictionary<string, HashSet<string>> Secrets(Manifests manifests)
    {
        var secrets = manifests.All<V1Secret>().ToDictionary(
            secret => secret.Metadata.Name, secret => (secret.Data?.Keys ?? []).Concat(secret.StringData?.Keys ?? []).ToHashSet(StringComparer.Ordinal), StringComparer.Ordinal);
        foreach (var external in manifests.Of("ExternalSecret"))
        {
            secrets.Add(
                (string)external["spec"]!["target"]!["name"]!,
                external["spec"]!["data"]!.AsArray().Select(entry => (string)entry!["secretKey"]!).ToHashSet(StringComparer.Ordinal));
        }

        return secrets;
    }
}
