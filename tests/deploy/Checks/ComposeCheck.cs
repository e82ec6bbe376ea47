using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using SplitFrozen.Deploy.Tests.Rendering;
using SplitFrozen.Deploy.Tests.Settings;

namespace SplitFrozen.Deploy.Tests.Checks;

/// <summary>What holds for the manifests holds for the compose file: settings, pinned images, protection, and that what it names is there.</summary>
internal static partial class ComposeCheck
{
    private static readonly HashSet<string> s_noParts = [];

    public static IEnumerable<string> Faults(JsonObject compose)
    {
        var services = compose["services"]!.AsObject();
        foreach (var (name, service) in services)
        {
            foreach (var fault in ServiceFaults(compose, service!).Concat(SettingFaults(name, service!)))
            {
                yield return $"{name}: {fault}";
            }

            foreach (var host in Compose.Environment(service!).Values.SelectMany(value => Host().Matches(value)).Select(match => match.Groups["host"].Value).Where(host => !services.ContainsKey(host)))
            {
                yield return $"{name}: connects to {host}, which is no service.";
            }
        }
    }

    private static IEnumerable<string> ServiceFaults(JsonObject compose, JsonNode service)
    {
        if (!ImageCheck.IsPinned((string)service["image"]!))
        {
            yield return $"image {service["image"]} has no version.";
        }

        if ((bool?)service["read_only"] != true || (string?)service["cap_drop"]?[0] != "ALL" || ((string?)service["user"])?.StartsWith('0') != false
            || !(service["security_opt"]?.AsArray() ?? []).Any(option => (string?)option == "no-new-privileges:true") || service["mem_limit"] is null)
        {
            yield return "may do more than its work needs.";
        }

        foreach (var port in (service["ports"]?.AsArray() ?? []).Select(port => (string)port!).Where(port => !port.StartsWith("127.0.0.1:", StringComparison.Ordinal)))
        {
            yield return $"port {port} is open to other machines.";
        }

        foreach (var source in (service["volumes"]?.AsArray() ?? []).Select(volume => ((string)volume!).Split(':')[0]))
        {
            if (source.StartsWith('.') ? !File.Exists(Path.Combine(Compose.Folder, source)) : compose["volumes"]?.AsObject().ContainsKey(source) != true)
            {
                yield return $"volume {source} is not there.";
            }
        }

        foreach (var (needed, _) in service["depends_on"]?.AsObject() ?? [])
        {
            if (compose["services"]![needed]?["healthcheck"] is null)
            {
                yield return $"waits for {needed}, which is not there or says nothing of its health.";
            }
        }
    }

    private static IEnumerable<string> SettingFaults(string name, JsonNode service)
    {
        if (!ServiceSettings.All.TryGetValue(name.Replace("-standby", "", StringComparison.Ordinal), out var settings))
        {
            yield break;
        }

        foreach (var fault in settings.Faults(Compose.Environment(service), s_noParts))
        {
            yield return fault;
        }

        var grace = TimeSpan.FromSeconds(int.Parse(((string)service["stop_grace_period"]!).TrimEnd('s'), System.Globalization.CultureInfo.InvariantCulture));
        if (grace < settings.ShutdownTimeout + ShutdownCheck.Margin)
        {
            yield return $"is killed after {grace}, but gives itself {settings.ShutdownTimeout}.";
        }
    }

    [GeneratedRegex(@"(?<![\w.:-])(?<host>[a-z][a-z0-9-]*):\d{2,5}(?![\w.])", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Host();
}
