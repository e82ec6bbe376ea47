using System.Globalization;
using System.IO.Hashing;
using System.Text;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>
/// Bodies larger than a message travel as frames. Puts them together again, whichever senders' frames come in between; memory is taken only for what
/// has come, and no more than the bounds allow.
/// </summary>
/// <param name="maximumBytes">Most bytes of bodies that are not whole yet.</param>
internal sealed class FrameAssembler(long maximumBytes)
{
    /// <summary>Largest frame; brokers refuse messages of more than 16 MiB.</summary>
    public const int FrameBytes = 4 << 20;

    private const int MostOpen = 64;
    private readonly Dictionary<string, Pending> _open = [];
    private long _bytes;

    /// <summary>The frames of a body with their headers, in order.</summary>
    public static IEnumerable<(Dictionary<string, object?> Headers, ReadOnlyMemory<byte> Frame)> Split(string transfer, ReadOnlyMemory<byte> body)
    {
        var frames = Math.Max(1, (body.Length + FrameBytes - 1) / FrameBytes);
        var checksum = Checksum(body.Span);
        for (var frame = 0; frame < frames; frame++)
        {
            var headers = new Dictionary<string, object?>
            {
                [Headers.Transfer] = transfer, [Headers.Frame] = frame, [Headers.Frames] = frames, [Headers.Checksum] = checksum,
            };
            var begin = frame * FrameBytes;
            yield return (headers, body.Slice(begin, Math.Min(FrameBytes, body.Length - begin)));
        }
    }

    /// <summary>Takes a frame in.</summary>
    /// <param name="headers">Headers of the message.</param>
    /// <param name="frame">Its body; copied.</param>
    /// <returns>The body where this frame completes it, or what is wrong with the frame; neither while frames are missing.</returns>
    public (byte[]? Body, string? Fault) Add(IDictionary<string, object?>? headers, ReadOnlySpan<byte> frame)
    {
        if (Text(headers, Headers.Transfer) is not { Length: > 0 } transfer || Number(headers, Headers.Frame) is not { } index
            || Number(headers, Headers.Frames) is not { } count || Text(headers, Headers.Checksum) is not { } checksum)
        {
            return (null, "The frame does not say which part of which body it is.");
        }

        if (!_open.TryGetValue(transfer, out var pending))
        {
            if (_open.Count >= MostOpen)
            {
                return (null, $"{MostOpen} bodies have begun and not ended; no more are taken.");
            }

            pending = _open[transfer] = new Pending(count, checksum);
        }

        if (index != pending.Frames.Count || count != pending.Count || checksum != pending.Checksum)
        {
            return (null, $"Frame {index} of {count} came where frame {pending.Frames.Count} of {pending.Count} was due.");
        }

        _bytes += frame.Length;
        if (_bytes > maximumBytes)
        {
            return (null, $"Bodies that are not whole yet have more than {maximumBytes} bytes.");
        }

        pending.Frames.Add(frame.ToArray());
        return pending.Frames.Count == pending.Count ? Join(transfer, pending) : (null, null);
    }

    private (byte[]? Body, string? Fault) Join(string transfer, Pending pending)
    {
        _open.Remove(transfer);
        _bytes -= pending.Frames.Sum(frame => (long)frame.Length);
        var body = pending.Frames is [var only] ? only : Concatenate(pending.Frames);
        return Checksum(body) == pending.Checksum ? (body, null) : (null, "The body does not have its checksum: it was damaged on its way.");
    }

    private static byte[] Concatenate(List<byte[]> frames)
    {
        var whole = GC.AllocateUninitializedArray<byte>(frames.Sum(frame => frame.Length));
        var position = 0;
        foreach (var frame in frames)
        {
            frame.CopyTo(whole, position);
            position += frame.Length;
        }

        return whole;
    }

    private static string Checksum(ReadOnlySpan<byte> body) => XxHash3.HashToUInt64(body).ToString("x16", CultureInfo.InvariantCulture);

    private static string? Text(IDictionary<string, object?>? headers, string name) =>
        headers?.TryGetValue(name, out var value) == true && value is byte[] { Length: <= 64 } bytes ? Encoding.UTF8.GetString(bytes) : null;

    private static int? Number(IDictionary<string, object?>? headers, string name) =>
        headers?.TryGetValue(name, out var value) == true && value is int and >= 0 ? (int)value : null;

    private sealed record Pending(int Count, string Checksum)
    {
        public List<byte[]> Frames { get; } = [];
    }
}
