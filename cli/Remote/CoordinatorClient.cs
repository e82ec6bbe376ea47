using System.Net;
using System.Net.Http.Json;
using System.Net.ServerSentEvents;
using System.Text.Json;
using Polly;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.Events;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.ServiceDefaults;

namespace SplitFrozen.Cli.Remote;

/// <summary>Speaks with a coordinator over HTTP. What it refuses, and that nobody answers, becomes an <see cref="InputException"/>.</summary>
internal sealed class CoordinatorClient : IDisposable
{
    private readonly HttpClient _http;
    private readonly ResiliencePipeline _patience;

    /// <param name="address">Base address, for example <c>http://127.0.0.1:8080</c>.</param>
    /// <param name="time">Clock of the delays between attempts.</param>
    public CoordinatorClient(string address, TimeProvider time)
    {
        if (!Uri.TryCreate(address, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
        {
            throw new InputException($"--coordinator {address}: this is no http or https address; for example http://127.0.0.1:8080.");
        }

        // Events arrive for as long as the run takes.
        _http = new HttpClient { BaseAddress = uri, Timeout = Timeout.InfiniteTimeSpan };
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

    /// <summary>The bytes of one artifact.</summary>
    public async Task<byte[]> ArtifactAsync(string runId, string name, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(() => new HttpRequestMessage(HttpMethod.Get, $"{Of(runId)}/artifacts/{Uri.EscapeDataString(name)}"), cancellationToken).ConfigureAwait(false);
        return await response.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);
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
        catch (HttpRequestException exception)
        {
            throw new InputException($"No coordinator answers at {_http.BaseAddress}: {exception.Message}. Start one, or name it with --coordinator.", exception);
        }
    }

    private async Task<HttpResponseMessage> SendOnceAsync(Func<HttpRequestMessage> request, CancellationToken cancellationToken)
    {
        using var message = request();
        var response = await _http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
        if (response.IsSuccessStatusCode)
        {
            return response;
        }

        using (response)
        {
            throw new InputException(await FaultsAsync(response, cancellationToken).ConfigureAwait(false));
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
