using System.Net;

namespace SplitFrozen.Coordinator.Access;

/// <summary>Where the web server will listen, as its settings say: <c>Kestrel:Endpoints</c> before <c>urls</c> before ports before the default.</summary>
internal static class ListeningAddresses
{
    /// <summary>Those that other machines can reach.</summary>
    public static IReadOnlyList<string> OpenToOthers(IConfiguration settings) => [.. All(settings).Where(address => !IsLoopback(address))];

    private static string[] All(IConfiguration settings)
    {
        var endpoints = settings.GetSection("Kestrel:Endpoints").GetChildren().Select(endpoint => endpoint["Url"]).OfType<string>().ToArray();
        if (endpoints.Length > 0)
        {
            return endpoints;
        }

        if (Split(settings["urls"]) is { Length: > 0 } urls)
        {
            return urls;
        }

        string[] ports = [.. Split(settings["http_ports"]).Select(port => $"http://*:{port}"), .. Split(settings["https_ports"]).Select(port => $"https://*:{port}")];
        return ports.Length > 0 ? ports : ["http://localhost:5000"];
    }

    private static string[] Split(string? list) => list?.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];

    /// <summary>A name that is neither <c>localhost</c> nor an address means every interface to the web server.</summary>
    private static bool IsLoopback(string address)
    {
        var parsed = BindingAddress.Parse(address);
        return parsed.IsUnixPipe || string.Equals(parsed.Host, "localhost", StringComparison.OrdinalIgnoreCase)
            || (IPAddress.TryParse(parsed.Host.Trim('[', ']'), out var ip) && IPAddress.IsLoopback(ip));
    }
}
