using System.Globalization;
using k8s.Models;
using SplitFrozen.Deploy.Tests.Rendering;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>Everything is forbidden but exactly the connections that the settings name, at both of their ends.</summary>
internal static class NetworkPolicyCheck
{
    public static IEnumerable<string> Faults(Manifests manifests)
    {
        if (!manifests.All<V1NetworkPolicy>().Any(policy => policy.Spec is { PodSelector: { MatchLabels: null, MatchExpressions: null }, Ingress: null, Egress: null, PolicyTypes: ["Ingress", "Egress"] }))
        {
            yield return "No policy forbids everything that the others do not allow.";
        }

        IReadOnlySet<Connection> named;
        string? fault = null;
        try
        {
            named = Connection.NamedBySettings(manifests);
        }
        catch (FormatException exception)
        {
            (named, fault) = (new HashSet<Connection>(), exception.Message);
        }

        if (fault is not null)
        {
            yield return fault;
            yield break;
        }

        var leaving = Allowed(manifests, leaving: true);
        var entering = Allowed(manifests, leaving: false);
        foreach (var connection in leaving.Union(entering).Except(named).Order(Comparer<Connection>.Create((a, b) => string.CompareOrdinal(a.ToString(), b.ToString()))))
        {
            yield return $"{connection} is allowed, but no setting names it.";
        }

        foreach (var connection in named.Where(connection => !Connection.IsOutside(connection.From) && !leaving.Contains(connection)))
        {
            yield return $"{connection} is needed, but may not leave.";
        }

        foreach (var connection in named.Where(connection => !Connection.IsOutside(connection.To) && !entering.Contains(connection)))
        {
            yield return $"{connection} is needed, but may not enter.";
        }
    }

    private static HashSet<Connection> Allowed(Manifests manifests, bool leaving)
    {
        var connections = new HashSet<Connection>();
        foreach (var policy in manifests.All<V1NetworkPolicy>())
        {
            var rules = leaving
                ? (policy.Spec.Egress ?? []).Select(rule => (Peers: rule.To, rule.Ports))
                : (policy.Spec.Ingress ?? []).Select(rule => (Peers: rule.FromProperty, rule.Ports));
            foreach (var (peers, ports) in rules)
            {
                connections.UnionWith(
                    from own in manifests.Workloads
                    where own.IsSelectedBy(policy.Spec.PodSelector.MatchLabels)
                    from other in peers is null ? [Connection.Anywhere] : peers.SelectMany(peer => Ends(manifests, peer))
                    from port in ports is null ? [0] : ports.Select(port => int.Parse(port.Port.Value, CultureInfo.InvariantCulture))
                    select leaving ? new Connection(own.Name, other, port) : new Connection(other, own.Name, port));
            }
        }

        return connections;
    }

    private static IEnumerable<string> Ends(Manifests manifests, V1NetworkPolicyPeer peer) => peer switch
    {
        { IpBlock: not null } => [Connection.Anywhere],
        { NamespaceSelector: { } selector } => [selector.MatchLabels?.TryGetValue("kubernetes.io/metadata.name", out var name) == true ? Connection.NamespaceEnd(name) : Connection.Anywhere],
        _ => manifests.Workloads.Where(workload => workload.IsSelectedBy(peer.PodSelector.MatchLabels)).Select(workload => workload.Name),
    };
}
