using SplitFrozen.Deploy.Tests.Rendering;
using SplitFrozen.Deploy.Tests.Settings;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>A service is killed only some time after it should have ended by itself.</summary>
internal static class ShutdownCheck
{
    public static readonly TimeSpan Margin = TimeSpan.FromSeconds(20);

    public static IEnumerable<string> Faults(Manifests manifests) =>
        from workload in manifests.Workloads
        where ServiceSettings.All.ContainsKey(workload.Name)
        let grace = TimeSpan.FromSeconds(workload.Pod.TerminationGracePeriodSeconds ?? 30)
        let needed = ServiceSettings.All[workload.Name].ShutdownTimeout
        where grace < needed + Margin
        select $"{workload.Name} is killed after {grace}, but gives itself {needed} and needs some time after it.";
}
