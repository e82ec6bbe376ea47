using System.Buffers.Text;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using SplitFrozen.Messaging.RabbitMq;

namespace SplitFrozen.Messaging.Devices;

/// <summary>The broker's management does not do what was asked; the message says why.</summary>
public sealed class EnrollmentException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// Gives devices a login at the broker and takes it away, by the broker's management interface. A login may publish to two exchanges under keys
/// that name the device, and read the device's queue; it may declare and delete nothing.
/// </summary>
/// <param name="http">Speaks with the management interface: its address and the login of an administrator are set.</param>
/// <param name="virtualHost">The virtual host of the system, <c>/</c> where it has none of its own.</param>
public sealed class DeviceEnrollment(HttpClient http, string virtualHost)
{
    /// <summary>Marks the logins that are devices', so that no other is ever taken for one.</summary>
    private const string Tag = "splitfrozen-device";

    private const int PasswordBytes = 32;

    private readonly string _host = Uri.EscapeDataString(virtualHost);

    /// <summary>A client of the management interface.</summary>
    /// <param name="address">Its address; <c>http</c> to this machine alone.</param>
    /// <param name="login">User and password of an administrator, with a colon between.</param>
    /// <param name="handler">Speaks TLS as the caller wants it; goes with the client.</param>
    /// <exception cref="EnrollmentException">The address or the login has not that form.</exception>
    public static HttpClient Client(string address, string? login, HttpMessageHandler handler)
    {
        if (!Uri.TryCreate(address, UriKind.Absolute, out var uri) || (uri.Scheme != Uri.UriSchemeHttps && !(uri.Scheme == Uri.UriSchemeHttp && uri.IsLoopback)) || uri.UserInfo.Length > 0)
        {
            throw new EnrollmentException("The address of the broker's management has the form https://host:15671, without a login; http:// goes to this machine alone.");
        }

        if (login?.Contains(':', StringComparison.Ordinal) != true)
        {
            throw new EnrollmentException("The login of a broker administrator is needed, as user:password.");
        }

        var client = new HttpClient(handler) { BaseAddress = new Uri(uri.AbsoluteUri.TrimEnd('/') + "/"), Timeout = TimeSpan.FromSeconds(30) };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(login)));
        return client;
    }

    /// <summary>Makes a device's login.</summary>
    /// <returns>Its password, which the broker keeps only as a hash.</returns>
    /// <exception cref="EnrollmentException">There is such a login already, or the broker refuses.</exception>
    public async Task<string> EnrollAsync(string device, CancellationToken cancellationToken)
    {
        if (DeviceKit.NameFault(device) is { } fault)
        {
            throw new EnrollmentException(fault);
        }

        if (await TagsAsync(device, cancellationToken).ConfigureAwait(false) is { } tags)
        {
            throw new EnrollmentException(tags.Contains(Tag)
                ? $"Device '{device}' is enrolled already. Revoke it first: what it has then no longer works."
                : $"The broker has a login '{device}' that is not a device's; name the device in another way.");
        }

        var password = Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(PasswordBytes));
        var name = Regex.Escape(device);
        try
        {
            // Permissions last: until then the login can do nothing, and once they are there every limit is.
            await SendAsync(HttpMethod.Put, $"api/users/{device}", new { password, tags = Tag }, cancellationToken).ConfigureAwait(false);
            await LimitAsync(device, RabbitMqTopology.ActivationExchange, $@"^[^.]+\.{name}$", cancellationToken).ConfigureAwait(false);
            await LimitAsync(device, DeviceTopology.Reports, $"^{name}$", cancellationToken).ConfigureAwait(false);
            await SendAsync(
                HttpMethod.Put, $"api/permissions/{_host}/{device}",
                new
                {
                    configure = "^$",
                    write = $"^({Regex.Escape(RabbitMqTopology.ActivationExchange)}|{Regex.Escape(DeviceTopology.Reports)})$",
                    read = $"^{Regex.Escape(DeviceTopology.Queue(device))}$",
                },
                cancellationToken).ConfigureAwait(false);
            return password;
        }
        catch
        {
            await RemoveAsync(device, CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Takes a device's login away: the broker closes its connections, and its queue is deleted.</summary>
    /// <exception cref="EnrollmentException">There is no such device, or the broker refuses.</exception>
    public async Task RevokeAsync(string device, CancellationToken cancellationToken)
    {
        if (DeviceKit.NameFault(device) is { } fault)
        {
            throw new EnrollmentException(fault);
        }

        if (await TagsAsync(device, cancellationToken).ConfigureAwait(false) is not { } tags || !tags.Contains(Tag))
        {
            throw new EnrollmentException($"No device '{device}' is enrolled.");
        }

        await RemoveAsync(device, cancellationToken).ConfigureAwait(false);
        await SendAsync(HttpMethod.Delete, $"api/queues/{_host}/{Uri.EscapeDataString(DeviceTopology.Queue(device))}", null, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Names of the enrolled devices, in order.</summary>
    /// <exception cref="EnrollmentException">The broker refuses.</exception>
    public async Task<IReadOnlyList<string>> ListAsync(CancellationToken cancellationToken)
    {
        using var users = (await SendAsync(HttpMethod.Get, "api/users", null, cancellationToken).ConfigureAwait(false))!;
        return [.. users.RootElement.EnumerateArray().Where(user => Tags(user).Contains(Tag)).Select(user => user.GetProperty("name").GetString()!).Order(StringComparer.Ordinal)];
    }

    private async Task LimitAsync(string device, string exchange, string keys, CancellationToken cancellationToken) =>
        await SendAsync(HttpMethod.Put, $"api/topic-permissions/{_host}/{device}", new { exchange, write = keys, read = "^$" }, cancellationToken).ConfigureAwait(false);

    private async Task RemoveAsync(string device, CancellationToken cancellationToken) =>
        await SendAsync(HttpMethod.Delete, $"api/users/{device}", null, cancellationToken).ConfigureAwait(false);

    private async Task<string[]?> TagsAsync(string user, CancellationToken cancellationToken)
    {
        using var found = await SendAsync(HttpMethod.Get, $"api/users/{user}", null, cancellationToken).ConfigureAwait(false);
        return found is null ? null : Tags(found.RootElement);
    }

    private static string[] Tags(JsonElement user) => user.GetProperty("tags") is { ValueKind: JsonValueKind.Array } list
        ? [.. list.EnumerateArray().Select(tag => tag.GetString()!)]
        : user.GetProperty("tags").GetString()!.Split(',');

    /// <summary>The answer's content; null where there is no such thing, and where there is none.</summary>
    private async Task<JsonDocument?> SendAsync(HttpMethod method, string path, object? content, CancellationToken cancellationToken)
    {
        try
        {
            using var request = new HttpRequestMessage(method, path) { Content = content is null ? null : JsonContent.Create(content) };
            using var response = await http.SendAsync(request, cancellationToken).ConfigureAwait(false);
            if (response.StatusCode == HttpStatusCode.NotFound)
            {
                return null;
            }

            if (!response.IsSuccessStatusCode)
            {
                throw new EnrollmentException(response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden
                    ? $"The broker's management at {http.BaseAddress} refuses the login; it must be right, and one of an administrator."
                    : $"The broker's management at {http.BaseAddress} answers {(int)response.StatusCode} to {method} {path}.");
            }

            var answer = await response.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);
            return answer.Length == 0 ? null : JsonDocument.Parse(answer);
        }
        catch (Exception exception) when (exception is HttpRequestException or JsonException || (exception is TaskCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new EnrollmentException($"The broker's management at {http.BaseAddress} does not answer: {exception.Message}", exception);
        }
    }
}
