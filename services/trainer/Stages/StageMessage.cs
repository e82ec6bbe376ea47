using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Trainer.Stages;

/// <summary>What a message between stages is about.</summary>
internal enum StageMessageKind
{
    /// <summary>Only asks whether somebody is there.</summary>
    Ping,

    /// <summary>Hidden states for the stage behind.</summary>
    Activation,

    /// <summary>A gradient for the stage before; without a tensor where nothing runs backward.</summary>
    Gradient,

    /// <summary>The leader's <see cref="ComputeCommand"/>.</summary>
    Compute,

    /// <summary>The leader asks for the gradients.</summary>
    ReadGradients,

    /// <summary>The leader sets the gradients.</summary>
    WriteGradients,

    /// <summary>The leader's <see cref="UpdateCommand"/>.</summary>
    Update,

    /// <summary>The leader asks for parameters and moments.</summary>
    ReadState,

    /// <summary>The leader sets parameters and moments.</summary>
    Restore,

    /// <summary>The answer to a command.</summary>
    Answer,

    /// <summary>A command could not be carried out; the content says why.</summary>
    Failure,
}

/// <summary>A message between stages: one safetensors file, with what it is about in its metadata.</summary>
/// <param name="Kind">What it is about.</param>
/// <param name="Number">Number of the command, or of the micro-batch.</param>
/// <param name="Content">JSON of the command or the answer; empty for none.</param>
/// <param name="Tensors">Tensors by name; the receiver owns those of a decoded message.</param>
internal sealed record StageMessage(StageMessageKind Kind, int Number, string Content, IReadOnlyList<(string Name, Tensor Tensor)> Tensors) : IDisposable
{
    /// <summary>W3C trace context of whoever sends it, as <c>traceparent</c>; null for none.</summary>
    public string? TraceParent { get; init; }

    private const int MaximumHeaderBytes = 64 << 20;
    private static readonly JsonSerializerOptions s_json = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    /// <summary>A message without tensors.</summary>
    public static StageMessage Of<T>(StageMessageKind kind, int number, T content) => new(kind, number, JsonSerializer.Serialize(content, s_json), []);

    /// <summary>The content as what it is.</summary>
    /// <exception cref="TrainerException">It is something else.</exception>
    public T Read<T>()
    {
        try
        {
            return JsonSerializer.Deserialize<T>(Content, s_json) ?? throw new JsonException("It is null.");
        }
        catch (JsonException exception)
        {
            throw Malformed($"'{Kind}' does not hold a {typeof(T).Name}: {exception.Message}", exception);
        }
    }

    /// <summary>Bytes for the wire; tensors are copied.</summary>
    public byte[] Encode()
    {
        var writer = new SafetensorsWriter();
        foreach (var (name, tensor) in Tensors)
        {
            writer.Add(name, tensor.dtype == ScalarType.Float64 ? ElementType.Float64 : ElementType.Float32, tensor.shape, stream => Write(stream, tensor));
        }

        writer.SetMetadata("kind", Kind.ToString());
        writer.SetMetadata("number", Number.ToString(CultureInfo.InvariantCulture));
        writer.SetMetadata("content", Content);
        if (TraceParent is { } parent)
        {
            writer.SetMetadata("traceparent", parent);
        }

        var body = new byte[writer.Length];
        using var stream = new MemoryStream(body);
        writer.WriteTo(stream);
        return body;
    }

    /// <summary>Reads a message; its tensors are copies.</summary>
    /// <exception cref="TrainerException">The body is no such message.</exception>
    public static StageMessage Decode(ReadOnlyMemory<byte> body)
    {
        if (!SafetensorsHeader.TryParse(body.Span, body.Length, out var header, out var error, MaximumHeaderBytes))
        {
            throw Malformed(error);
        }

        if (!Enum.TryParse<StageMessageKind>(header.Metadata.GetValueOrDefault("kind"), out var kind)
            || !int.TryParse(header.Metadata.GetValueOrDefault("number"), NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            throw Malformed("its metadata does not say what it is about");
        }

        var data = body[(int)header.DataStart..];
        return new StageMessage(kind, number, header.Metadata.GetValueOrDefault("content", ""), [.. header.Entries.Values
            .OrderBy(entry => entry.Name, StringComparer.Ordinal)
            .Select(entry => (entry.Name, Tensor(entry, data.Slice((int)entry.Begin, (int)entry.ByteLength).Span)))])
        {
            TraceParent = header.Metadata.GetValueOrDefault("traceparent"),
        };
    }

    /// <summary>Takes a tensor out, which the caller owns then; null where there is none of the name.</summary>
    public Tensor? Take(string name) => Tensors.FirstOrDefault(entry => entry.Name == name).Tensor?.alias();

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (_, tensor) in Tensors)
        {
            tensor.Dispose();
        }
    }

    private static void Write(Stream stream, Tensor tensor)
    {
        using var contiguous = tensor.contiguous();
        stream.Write(TensorBytes.View(contiguous));
    }

    private static Tensor Tensor(TensorEntry entry, ReadOnlySpan<byte> bytes) => entry.Type is ElementType.Float32 or ElementType.Float64
        ? TensorBytes.FromBytes(bytes, [.. entry.Shape], entry.Type == ElementType.Float32 ? ScalarType.Float32 : ScalarType.Float64)
        : throw Malformed($"tensor '{entry.Name}' has type {entry.Type.Name()}; F32 or F64 is expected");

    private static TrainerException Malformed(string fault, Exception? inner = null) => new($"A message between stages cannot be read: {fault}", inner);
}
