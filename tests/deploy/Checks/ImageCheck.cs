using System.Text.RegularExpressions;
using SplitFrozen.Deploy.Tests.Rendering;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>Images are named with a version.</summary>
internal static partial class ImageCheck
{
    public static IEnumerable<string> Faults(Manifests manifests) =>
        manifests.Workloads.SelectMany(workload => workload.Containers).Select(container => container.Image).Where(image => !IsPinned(image)).Select(image => $"Image {image} has no version.");

    public static bool IsPinned(string image) => Version().IsMatch(image);

    [GeneratedRegex(@":\d+(\.\d+)+(-[a-z0-9.-]+)?$", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Version();
}
