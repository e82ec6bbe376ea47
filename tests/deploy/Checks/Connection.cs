using System.Globalization;
using System.Text.RegularExpressions;
using k8s.Models;
using SplitFrozen.Deploy.Tests.Rendering;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>One end may open connections to a port of the other; an end is a workload, or <c>namespace/…</c> outside.</summary>
internal readonly partial record struct Connection(string From, string To, int Port)
{
    private const int NodeDiscovery = 4369;
    private const int NodeTraffic = 25672;
    private const int Names = 53;
    private const string Outside = "namespace/";

    /// <summary>The end that is every address.</summary>
    public const string Anywhere = "anywhere";

    public override string ToString() => $"{From} → {To}:{Port.ToString(CultureInfo.InvariantCulture)}";

    public static bool IsOutside(string end) => end == Anywhere || end.StartsWith(Outside, StringComparison.Ordinal);

    public static string NamespaceEnd(string name) => Outside + name;

    /// <summary>All connections that follow from the settings: addresses in environments, the scaler's, the broker's cluster, what is open to the outside, and names.</summary>
    /// <exception cref="FormatException">A setting names a service that is not there.</exception>
    public static IReadOnlySet<Connection> NamedBySettings(Manifests manifests)
    {
        var connections = new HashSet<Connection>();
        foreach (var workload in manifests.Workloads)
        {
            connections.Add(new(workload.Name, NamespaceEnd("kube-system"), Names));
            foreach (var value in workload.Containers.SelectMany(container => ContainerEnvironment.Of(manifests, workload, container).Values))
            {
                connections.UnionWith(Addresses(value).SelectMany(address => Reaching(manifests, workload.Name, address.Host, address.Port)));
            }

            var mounted = (workload.Pod.Volumes ?? []).Select(volume => volume.ConfigMap?.Name).ToHashSet(StringComparer.Ordinal);
            if (manifests.All<V1ConfigMap>().Any(map => mounted.Contains(map.Metadata.Name) && map.Data.Values.Any(text => text.Contains("cluster_formation.classic_config.nodes", StringComparison.Ordinal))))
            {
                connections.Add(new(workload.Name, workload.Name, NodeDiscovery));
                connections.Add(new(workload.Name, workload.Name, NodeTraffic));
            }
        }

        foreach (var trigger in manifests.Of("ScaledObject").SelectMany(scaler => scaler["spec"]!["triggers"]!.AsArray()))
        {
            connections.UnionWith(Addresses((string?)trigger!["metadata"]!["url"] ?? "").SelectMany(address => Reaching(manifests, NamespaceEnd("keda"), address.Host, address.Port)));
        }

        foreach (var service in manifests.All<V1Service>().Where(service => service.Spec.Type == "LoadBalancer"))
        {
            connections.UnionWith(service.Spec.Ports.SelectMany(port => Reaching(manifests, Anywhere, service.Metadata.Name, port.Port)));
        }

        return connections;
    }

    private static IEnumerable<Connection> Reaching(Manifests manifests, string from, string host, int port)
    {
        var parts = host.Split('.');
        if (parts.Length > 1 && parts[1] != manifests.Namespace)
        {
            return [new(from, NamespaceEnd(parts[1]), port)];
        }

        var service = manifests.All<V1Service>().SingleOrDefault(service => service.Metadata.Name == parts[0]) ?? throw new FormatException($"{from} connects to {host}, which is no service.");
        var target = service.Spec.Ports.SingleOrDefault(own => own.Port == port) ?? throw new FormatException($"{from} connects to {host}:{port}, which is no port of the service.");
        return manifests.Workloads.Where(workload => workload.IsSelectedBy(service.Spec.Selector)).Select(workload => new Connection(from, workload.Name, PortCheck.Number(workload.Main, target.TargetPort) ?? 0));
    }

    private static IEnumerable<(string Host, int Port)> Addresses(string value) =>
        HostAndPort().Matches(value).Select(match => (match.Groups["host"].Value, int.Parse(match.Groups["port"].Value, CultureInfo.InvariantCulture)));

    [GeneratedRegex(@"(?<![\w.:-])(?<host>[a-z][a-z0-9.-]*):(?<port>\d{2,5})(?![\w.])", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex HostAndPort();
}
