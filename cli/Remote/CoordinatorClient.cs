using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.ServerSentEvents;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Text.Json;
using Polly;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Events;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Security;
using SplitFrozen.ServiceDefaults;

namespace SplitFrozen.Cli.Remote;

/// <summary>Speaks with a coordinator over HTTP. What it refuses, and that nobody answers, becomes an <see cref="InputException"/>.</summary>
internal sealed class CoordinatorClient : IDisposable
{
    private const int Attempts = 5;
    private static readonly TimeSpan s_longestWait = TimeSpan.FromMinutes(1);

    private readonly HttpClient _http;
    private readonly ResiliencePipeline _patience;
    private readonly TimeProvider _time;

    /// <param name="address">Base address, for example <c>http://127.0.0.1:8080</c>.</param>
    /// <param name="token">Token for it; null for none.</param>
    /// <param name="trust">Whose certificates to trust for https.</param>
    /// <param name="time">Clock of the delays between attempts.</param>
    public CoordinatorClient(Uri address, string? token, CertificateTrust trust, TimeProvider time)
    {
        // A coordinator leads nowhere else; what does is not to be followed with a token.
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false };
        handler.SslOptions.CertificateChainPolicy = trust.ChainPolicy;

        // Events arrive for as long as the run takes.
        _http = new HttpClient(handler) { BaseAddress = address, Timeout = Timeout.InfiniteTimeSpan };
        if (token is not null)
        {
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }

        _time = time;
        _patience = Backoff.OnFailure(exception => exception is HttpRequestException or IOException, time, (ulong)Environment.ProcessId);
    }

    /// <summary>Hands a run in.</summary>
    public async Task<string> SubmitAsync(RunSpec spec, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(() => new HttpRequestMessage(HttpMethod.Post, "api/runs") { Content = JsonContent.Create(spec, options: ClusterApi.Json) }, cancellationToken).ConfigureAwait(false);
        return (await ReadAsync<RunAccepted>(response, cancellationToken).ConfigureAwait(false)).RunId;
    }

    /// <summary>All runs.</summary>
    public Task<RunSummary[]> RunsAsync(CancellationToken cancellationToken) => GetAsync<RunSummary[]>("api/runs", cancellationToken);

    /// <summary>One run.</summary>
    public Task<RunDetail> RunAsync(string runId, CancellationToken cancellationToken) => GetAsync<RunDetail>(Of(runId), cancellationToken);

    /// <summary>All device workers.</summary>
    public Task<DeviceSummary[]> DevicesAsync(CancellationToken cancellationToken) => GetAsync<DeviceSummary[]>("api/devices", cancellationToken);

    /// <summary>Stops a run with a checkpoint.</summary>
    public Task CancelAsync(string runId, CancellationToken cancellationToken) => PostAsync(Of(runId) + "/cancel", cancellationToken);

    /// <summary>Lets a stopped run go on.</summary>
    public Task ResumeAsync(string runId, CancellationToken cancellationToken) => PostAsync(Of(runId) + "/resume", cancellationToken);

    /// <summary>Deletes a run that has ended.</summary>
    public async Task DeleteAsync(string runId, CancellationToken cancellationToken) =>
        (await SendAsync(() => new HttpRequestMessage(HttpMethod.Delete, Of(runId)), cancellationToken).ConfigureAwait(false)).Dispose();

    /// <summary>The newest refused messages, the newest first.</summary>
    public Task<DeadLetterSummary[]> DeadLettersAsync(CancellationToken cancellationToken) => GetAsync<DeadLetterSummary[]>("api/dead-letters", cancellationToken);

    /// <summary>Deletes all refused messages; tells how many there were.</summary>
    public async Task<long> PurgeDeadLettersAsync(CancellationToken cancellationToken)
    {
        using var response = await SendAsync(() => new HttpRequestMessage(HttpMethod.Delete, "api/dead-letters"), cancellationToken).ConfigureAwait(false);
        return (await ReadAsync<DeadLettersPurged>(response, cancellationToken).ConfigureAwait(false)).Count;
    }

    /// <summary>The bytes of one artifact, which are those that the trainer stored.</summary>
    /// <exception cref="InputException">They are not.</exception>
    public async Task<byte[]> ArtifactAsync(string runId, RunArtifact artifact, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(() => new HttpRequestMessage(HttpMethod.Get, $"{Of(runId)}/artifacts/{Uri.EscapeDataString(artifact.Name)}"), cancellationToken).ConfigureAwait(false);
        var bytes = await response.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);
        var hash = Convert.ToHexStringLower(SHA256.HashData(bytes));
        return artifact.Sha256 is not { } stored || string.Equals(stored, hash, StringComparison.OrdinalIgnoreCase)
            ? bytes
            : throw new InputException(
                $"{artifact.Name} of {runId} is not what the trainer stored: it has {bytes.Length} bytes with SHA-256 {hash}; expected {artifact.Bytes} with {stored}. "
                + "Nothing was written. Fetch it again; if it stays so, the store has damaged it: resume the run, or take the file from the trainer's folder.");
    }

    /// <summary>
    /// Hands over a run's events, from its first on and then as they happen, up to <c>run_ended</c>. A lost connection is taken up
    /// again where it ended.
    /// </summary>
    public async Task FollowAsync(string runId, Action<RunEvent> observe, CancellationToken cancellationToken)
    {
        string? last = null;
        var ended = false;
        while (!ended)
        {
            await _patience.ExecuteAsync(
                async token =>
                {
                    using var response = await SendOnceAsync(Request, token).ConfigureAwait(false);
                    await using var stream = await response.Content.ReadAsStreamAsync(token).ConfigureAwait(false);
                    await foreach (var item in SseParser.Create(stream).EnumerateAsync(token).ConfigureAwait(false))
                    {
                        last = item.EventId ?? last;
                        if (RunEvent.FromJson(item.Data) is { } runEvent)
                        {
                            observe(runEvent);
                            ended = runEvent is RunEndedEvent;
                        }
                    }
                },
                cancellationToken).ConfigureAwait(false);
        }

        HttpRequestMessage Request()
        {
            var request = new HttpRequestMessage(HttpMethod.Get, Of(runId) + "/events");
            if (last is not null)
            {
                request.Headers.Add("Last-Event-ID", last);
            }

            return request;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private static string Of(string runId) => $"api/runs/{Uri.EscapeDataString(runId)}";

    private async Task<TResult> GetAsync<TResult>(string path, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(() => new HttpRequestMessage(HttpMethod.Get, path), cancellationToken).ConfigureAwait(false);
        return await ReadAsync<TResult>(response, cancellationToken).ConfigureAwait(false);
    }

    private async Task PostAsync(string path, CancellationToken cancellationToken) =>
        (await SendAsync(() => new HttpRequestMessage(HttpMethod.Post, path), cancellationToken).ConfigureAwait(false)).Dispose();

    private static async Task<TResult> ReadAsync<TResult>(HttpResponseMessage response, CancellationToken cancellationToken) =>
        await response.Content.ReadFromJsonAsync<TResult>(ClusterApi.Json, cancellationToken).ConfigureAwait(false)
        ?? throw new InputException($"{response.RequestMessage?.RequestUri}: the answer is empty; is this a coordinator?");

    private async Task<HttpResponseMessage> SendAsync(Func<HttpRequestMessage> request, CancellationToken cancellationToken)
    {
        try
        {
            return await SendOnceAsync(request, cancellationToken).ConfigureAwait(false);
        }
        catch (HttpRequestException exception) when (exception.InnerException is AuthenticationException certificate)
        {
            throw new InputException(
                $"{_http.BaseAddress}: its certificate is not trusted: {certificate.Message} Name the authority that signed it with --ca, and the host as the certificate does.", exception);
        }
        catch (HttpRequestException exception)
        {
            throw new InputException($"No coordinator answers at {_http.BaseAddress}: {exception.Message}. Start one, or name it with --coordinator.", exception);
        }
    }

    private async Task<HttpResponseMessage> SendOnceAsync(Func<HttpRequestMessage> request, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            using var message = request();
            var response = await _http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
            if (response.IsSuccessStatusCode)
            {
                return response;
            }

            using (response)
            {
                if (response is not { StatusCode: HttpStatusCode.TooManyRequests, Headers.RetryAfter.Delta: { } wait } || attempt == Attempts)
                {
                    throw new InputException(await FaultsAsync(response, cancellationToken).ConfigureAwait(false));
                }

                await Task.Delay(wait < s_longestWait ? wait : s_longestWait, _time, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private static async Task<IReadOnlyList<string>> FaultsAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        try
        {
            if (await response.Content.ReadFromJsonAsync<RequestRefused>(ClusterApi.Json, cancellationToken).ConfigureAwait(false) is { Errors.Count: > 0 } refused)
            {
                return refused.Errors;
            }
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException)
        {
            // Not the coordinator's own answer: the status must do.
        }

        return [$"{response.RequestMessage?.RequestUri} answered {(int)response.StatusCode} {(response.StatusCode == HttpStatusCode.NotFound ? "not found; is this a coordinator?" : response.ReasonPhrase)}"];
    }
}
