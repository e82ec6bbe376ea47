using System.Globalization;
using k8s.Models;
using SplitFrozen.Deploy.Tests.Rendering;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>Services and probes name ports that containers have, and services listen where their settings say.</summary>
internal static class PortCheck
{
    private static readonly string[] s_portSettings = ["ASPNETCORE_HTTP_PORTS", "Health__Port"];

    public static IEnumerable<string> Faults(Manifests manifests)
    {
        foreach (var service in manifests.All<V1Service>())
        {
            foreach (var port in service.Spec.Ports)
            {
                foreach (var workload in manifests.Workloads.Where(workload => workload.IsSelectedBy(service.Spec.Selector) && Number(workload.Main, port.TargetPort) is null))
                {
                    yield return $"Service {service.Metadata.Name}: {workload.Name} has no port {port.TargetPort?.Value}.";
                }
            }
        }

        foreach (var workload in manifests.Workloads)
        {
            var main = workload.Main;
            foreach (var probe in new[] { main.StartupProbe, main.LivenessProbe, main.ReadinessProbe }.OfType<V1Probe>())
            {
                if ((probe.HttpGet?.Port ?? probe.TcpSocket?.Port) is { } port && Number(main, port) is null)
                {
                    yield return $"A probe of {workload.Name} asks port {port.Value}, which it has not.";
                }
            }

            var environment = ContainerEnvironment.Of(manifests, workload, main);
            foreach (var name in s_portSettings.Where(environment.ContainsKey))
            {
                if (main.Ports?.Any(port => port.ContainerPort.ToString(CultureInfo.InvariantCulture) == environment[name]) != true)
                {
                    yield return $"{workload.Name} listens on {name}={environment[name]}, which is none of its ports.";
                }
            }
        }
    }

    /// <summary>The number of a port that is given by number or by name; null where the container has none such.</summary>
    public static int? Number(V1Container container, IntOrString? port) =>
        container.Ports?.FirstOrDefault(own => own.Name == port?.Value || own.ContainerPort.ToString(CultureInfo.InvariantCulture) == port?.Value)?.ContainerPort;
}
