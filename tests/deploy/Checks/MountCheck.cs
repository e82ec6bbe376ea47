using SplitFrozen.Deploy.Tests.Rendering;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>Mounts and volumes belong together, and what a service writes to is a volume that may be written.</summary>
internal static class MountCheck
{
    private static readonly string[] s_writtenSettings = ["Trainer__Folder", "XDG_CACHE_HOME"];

    public static IEnumerable<string> Faults(Manifests manifests)
    {
        foreach (var workload in manifests.Workloads)
        {
            var volumes = (workload.Pod.Volumes ?? []).Select(volume => volume.Name).Concat(workload.ClaimTemplates).ToArray();
            var mounts = workload.Containers.SelectMany(container => container.VolumeMounts ?? []).Select(mount => mount.Name).ToArray();
            foreach (var volume in volumes.Except(mounts, StringComparer.Ordinal))
            {
                yield return $"Volume {volume} of {workload.Name} is mounted nowhere.";
            }

            foreach (var mount in mounts.Except(volumes, StringComparer.Ordinal))
            {
                yield return $"{workload.Name} mounts {mount}, which is none of its volumes.";
            }

            foreach (var twice in workload.Containers.SelectMany(container => (container.VolumeMounts ?? []).GroupBy(mount => mount.MountPath).Where(path => path.Count() > 1)))
            {
                yield return $"{workload.Name} mounts two volumes at {twice.Key}.";
            }

            var environment = ContainerEnvironment.Of(manifests, workload, workload.Main);
            foreach (var name in s_writtenSettings.Where(environment.ContainsKey))
            {
                if (!(workload.Main.VolumeMounts ?? []).Any(mount => mount.ReadOnlyProperty != true && IsBelow(environment[name], mount.MountPath)))
                {
                    yield return $"{workload.Name} writes to {name}={environment[name]}, which is no volume that it may write.";
                }
            }
        }
    }

    private static bool IsBelow(string path, string folder) => path == folder || path.StartsWith(folder + "/", StringComparison.Ordinal);
}
