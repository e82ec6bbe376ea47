using System.Diagnostics.CodeAnalysis;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using SplitFrozen.Contracts.Safetensors;
using Format = SplitFrozen.Contracts.Wire.ActivationBatchFormat;

namespace SplitFrozen.Contracts.Wire;

/// <summary>
/// Activation batches as message bodies and cache entries: one safetensors file each, in exactly one form per batch
/// (see <c>docs/wire-format.md</c>). Decoding checks everything that a hostile sender could get wrong, never throws, and
/// copies nothing but lengths, ids and labels. Little-endian machines only, as the format is.
/// </summary>
public static class ActivationBatchCodec
{
    private static readonly WireLimits NoLimits = new()
    {
        MaximumBodyBytes = int.MaxValue, MaximumHeaderBytes = int.MaxValue, MaximumSamples = int.MaxValue, MaximumTokensPerSample = int.MaxValue,
    };

    /// <summary>Encodes a batch; the body is the only large allocation, of its exact size.</summary>
    /// <exception cref="ArgumentException">The batch is not one that a receiver would accept: sizes, ids, labels or numbers are wrong.</exception>
    public static byte[] Encode(ActivationBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var tokens = CheckSizes(batch);
        Refuse(batch, ActivationBatchChecks.SampleIds(batch.SampleIds)
            ?? ActivationBatchChecks.Labels(batch.Labels, batch.LabelsPerToken, NoLimits)
            ?? ActivationBatchChecks.Numbers(batch.HiddenStates.Span, batch.Scales.Span, batch.WireType));
        return Write(batch, tokens, (states, scales) =>
        {
            batch.HiddenStates.Span.CopyTo(states);
            batch.Scales.Span.CopyTo(scales);
        });
    }

    /// <summary>Encodes a batch whose numbers are written into the body where they belong, so that nothing is copied on the way.</summary>
    /// <param name="batch">The batch; its hidden states and scales are not looked at.</param>
    /// <param name="write">Fills hidden states and scales.</param>
    /// <exception cref="ArgumentException">The batch, or what was written, is not one that a receiver would accept.</exception>
    public static byte[] Encode(ActivationBatch batch, StateWriter write)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(write);
        var tokens = CheckCounts(batch);
        Refuse(batch, ActivationBatchChecks.SampleIds(batch.SampleIds)
            ?? ActivationBatchChecks.Labels(batch.Labels, batch.LabelsPerToken, NoLimits));
        return Write(batch, tokens, (states, scales) =>
        {
            write(states, scales);
            Refuse(batch, ActivationBatchChecks.Numbers(states, scales, batch.WireType));
        });
    }

    /// <summary>
    /// Encodes every sample of a batch as a cache entry, in order: a batch of that one sample, without run and client and
    /// with sample id 0, so that equal content gives equal bytes whichever run or client it came from.
    /// </summary>
    /// <exception cref="ArgumentException">The batch is not one that a receiver would accept.</exception>
    public static CacheEntries EncodeCacheEntries(ActivationBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        CheckSizes(batch);
        var metadata = Metadata(batch) with { RunId = "", ClientId = "" };
        var forms = Array.ConvertAll(batch.Lengths, length => Form.Of(metadata, 1, length, batch));
        var entries = new CacheEntries(Array.ConvertAll(forms, form => form.Bytes));
        ReadOnlySpan<SampleId> anonymous = [default];
        var row = 0;
        var rowBytes = batch.Width * batch.WireType.ElementType().Bytes();
        for (var i = 0; i < forms.Length; i++)
        {
            var (length, first) = (batch.Lengths[i], row);
            Write(
                entries.Writable(i), forms[i], batch.Lengths.AsSpan(i, 1), anonymous, batch.LabelsPerToken ? batch.Labels.AsSpan(row, length) : batch.Labels.AsSpan(i, 1),
                (states, scales) =>
                {
                    batch.HiddenStates.Span.Slice(first * rowBytes, states.Length).CopyTo(states);
                    batch.Scales.Span.Slice(scales.Length == 0 ? 0 : first * sizeof(float), scales.Length).CopyTo(scales);
                });
            row += length;
        }

        return entries;
    }

    /// <summary>
    /// Bytes of the body that <see cref="Encode(ActivationBatch)"/> makes of such a batch, without the numbers themselves; costs are reckoned with it.
    /// The byte memories, the ids and the labels of <paramref name="batch"/> are not looked at.
    /// </summary>
    public static long EncodedLength(ActivationBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var layout = Format.Layout(batch.Lengths.Length, batch.Tokens, batch.Width, batch.WireType, batch.LabelsPerToken);
        return Format.Header(layout, Metadata(batch)).Length + layout[^1].End;
    }

    /// <summary>Decodes a body that may be hostile. The batch's byte memories are views of <paramref name="body"/>.</summary>
    /// <param name="body">The message body or cache entry.</param>
    /// <param name="limits">What the receiver accepts.</param>
    /// <param name="batch">The batch; null where the body is refused.</param>
    /// <param name="reason">One sentence on why it is refused; null where it is accepted.</param>
    public static bool TryDecode(
        ReadOnlyMemory<byte> body, WireLimits limits, [NotNullWhen(true)] out ActivationBatch? batch, [NotNullWhen(false)] out string? reason)
    {
        batch = Decode(body, limits, out var refusal);
        reason = refusal?.Text;
        return batch is not null;
    }

    /// <summary>Decodes as <see cref="TryDecode"/> does, with the refusal as a value; null where the body is refused.</summary>
    public static ActivationBatch? Decode(ReadOnlyMemory<byte> body, WireLimits limits, out WireRefusal? refusal)
    {
        ArgumentNullException.ThrowIfNull(limits);
        if (body.Length > limits.MaximumBodyBytes)
        {
            refusal = new(WireRefusalReason.TooLarge, $"The body has {body.Length} bytes; at most {limits.MaximumBodyBytes} are accepted.");
            return null;
        }

        if (!SafetensorsHeader.TryParse(body.Span, body.Length, out var header, out var error, limits.MaximumHeaderBytes))
        {
            refusal = new(WireRefusalReason.NotSafetensors, error);
            return null;
        }

        var metadata = BatchMetadata.Read(header.Metadata, out refusal);
        if (metadata is null || (refusal = ReadShape(header, metadata, limits, out var shape)) is not null
            || (refusal = ActivationBatchChecks.Expectations(metadata, shape.Width, shape.Type, limits)) is not null)
        {
            return null;
        }

        var layout = Format.Layout(shape.Samples, shape.Tokens, shape.Width, shape.Type, metadata.LabelsPerToken);
        if (!Format.Header(layout, metadata).SequenceEqual(body.Span[..(int)header.DataStart]))
        {
            refusal = new(WireRefusalReason.NotCanonical, "The header says the right things in another form than the one that the format prescribes.");
            return null;
        }

        return ReadValues(body[(int)header.DataStart..], layout, metadata, shape, limits, out refusal);
    }

    private static WireRefusal? ReadShape(SafetensorsHeader header, BatchMetadata metadata, WireLimits limits, out Shape shape)
    {
        shape = default;
        if (!header.Entries.TryGetValue(Format.HiddenStates, out var hidden))
        {
            return new(WireRefusalReason.BadTensors, "The tensor 'hidden_states' is missing.");
        }

        if (Array.FindIndex(Enum.GetValues<WireType>(), type => type.ElementType() == hidden.Type) is var index && index < 0)
        {
            return new(WireRefusalReason.BadElementType, $"The tensor 'hidden_states' has element type {hidden.Type.Name()}; F32, F16, BF16 or I8 is expected.");
        }

        if (hidden.Shape.Length != 2)
        {
            return new(WireRefusalReason.BadShape, $"The tensor 'hidden_states' has rank {hidden.Shape.Length}; [tokens, width] is expected.");
        }

        if (!header.Entries.TryGetValue(Format.Lengths, out var lengths) || lengths.Shape.Length != 1)
        {
            return new(WireRefusalReason.BadTensors, "The tensor 'lengths' of shape [samples] is missing.");
        }

        var refusal = ActivationBatchChecks.Sizes(lengths.Shape[0], hidden.Shape[0], hidden.Shape[1], limits);
        if (refusal is null)
        {
            shape = new((int)lengths.Shape[0], (int)hidden.Shape[0], (int)hidden.Shape[1], Enum.GetValues<WireType>()[index]);
            refusal = CheckTensors(header, Format.Layout(shape.Samples, shape.Tokens, shape.Width, shape.Type, metadata.LabelsPerToken));
        }

        return refusal;
    }

    private static WireRefusal? CheckTensors(SafetensorsHeader header, TensorEntry[] layout)
    {
        foreach (var expected in layout)
        {
            if (!header.Entries.TryGetValue(expected.Name, out var found))
            {
                return new(WireRefusalReason.BadTensors, $"The tensor '{expected.Name}' is missing.");
            }

            if (found.Type != expected.Type)
            {
                return new(WireRefusalReason.BadElementType, $"The tensor '{expected.Name}' has element type {found.Type.Name()}; {expected.Type.Name()} is expected.");
            }

            if (!found.Shape.AsSpan().SequenceEqual(expected.Shape))
            {
                return new(WireRefusalReason.BadShape,
                    $"The tensor '{expected.Name}' has shape [{string.Join(", ", found.Shape)}]; [{string.Join(", ", expected.Shape)}] is expected.");
            }
        }

        var foreign = header.Entries.Keys.FirstOrDefault(name => !layout.Any(expected => expected.Name == name));
        return foreign is null
            ? null
            : new(WireRefusalReason.BadTensors, $"The tensor {SafetensorsHeaderParser.Show(foreign)} does not belong into a batch.");
    }

    private static ActivationBatch? ReadValues(
        ReadOnlyMemory<byte> data, TensorEntry[] layout, BatchMetadata metadata, Shape shape, WireLimits limits, out WireRefusal? refusal)
    {
        var hidden = Slice(Format.HiddenStates);
        var scales = shape.Type == WireType.Int8 ? Slice(Format.Scales) : default;
        var lengths = MemoryMarshal.Cast<byte, int>(Slice(Format.Lengths).Span);
        var ids = MemoryMarshal.Cast<byte, SampleId>(Slice(Format.SampleIds).Span);
        var labels = MemoryMarshal.Cast<byte, int>(Slice(Format.Labels).Span);
        refusal = Checksum(data.Span) != metadata.Checksum
            ? new WireRefusal(WireRefusalReason.BadChecksum, "The tensor bytes do not have the checksum that the sender gave: the body was damaged on the way.")
            : ActivationBatchChecks.Lengths(lengths, shape.Tokens, limits)
                ?? ActivationBatchChecks.SampleIds(ids)
                ?? ActivationBatchChecks.Labels(labels, metadata.LabelsPerToken, limits)
                ?? ActivationBatchChecks.Numbers(hidden.Span, scales.Span, shape.Type);
        return refusal is not null ? null : new ActivationBatch
        {
            RunId = metadata.RunId,
            ClientId = metadata.ClientId,
            ModelFingerprint = metadata.ModelFingerprint,
            Cut = metadata.Cut,
            Width = shape.Width,
            WireType = shape.Type,
            Lengths = lengths.ToArray(),
            SampleIds = ids.ToArray(),
            Labels = labels.ToArray(),
            LabelsPerToken = metadata.LabelsPerToken,
            HiddenStates = hidden,
            Scales = scales,
        };

        ReadOnlyMemory<byte> Slice(string name)
        {
            var entry = Array.Find(layout, entry => entry.Name == name)!;
            return data.Slice((int)entry.Begin, (int)entry.ByteLength);
        }
    }

    private static byte[] Write(ActivationBatch batch, int tokens, StateWriter write)
    {
        var form = Form.Of(Metadata(batch), batch.Lengths.Length, tokens, batch);
        var body = GC.AllocateUninitializedArray<byte>(form.Bytes);
        Write(body, form, batch.Lengths, batch.SampleIds, batch.Labels, write);
        return body;
    }

    private static void Write(
        Span<byte> body, Form form, ReadOnlySpan<int> lengths, ReadOnlySpan<SampleId> ids, ReadOnlySpan<int> labels, StateWriter write)
    {
        form.Header.CopyTo(body);
        var data = body[form.Header.Length..];
        MemoryMarshal.AsBytes(lengths).CopyTo(Of(form, data, Format.Lengths));
        MemoryMarshal.AsBytes(ids).CopyTo(Of(form, data, Format.SampleIds));
        MemoryMarshal.AsBytes(labels).CopyTo(Of(form, data, Format.Labels));
        write(Of(form, data, Format.HiddenStates), Of(form, data, Format.Scales));
        Encoding.ASCII.GetBytes(Checksum(data), body.Slice(Format.ChecksumPosition, Format.ChecksumDigits));

        static Span<byte> Of(Form form, Span<byte> data, string name) =>
            Array.Find(form.Layout, entry => entry.Name == name) is { } entry ? data.Slice((int)entry.Begin, (int)entry.ByteLength) : default;
    }

    private static BatchMetadata Metadata(ActivationBatch batch)
    {
        var metadata = new BatchMetadata(
            batch.RunId, batch.ClientId, batch.ModelFingerprint, batch.Cut, batch.LabelsPerToken, new string('0', Format.ChecksumDigits));
        Refuse(batch, metadata.Check());
        return metadata;
    }

    private static int CheckSizes(ActivationBatch batch)
    {
        var tokens = (long)CheckLengths(batch);
        var hidden = checked(tokens * batch.Width * batch.WireType.ElementType().Bytes());
        var scales = batch.WireType == WireType.Int8 ? tokens * sizeof(float) : 0;
        var labels = batch.LabelsPerToken ? tokens : batch.Lengths.Length;
        return batch.HiddenStates.Length == hidden && batch.Scales.Length == scales && batch.Labels.Length == labels
            && batch.SampleIds.Length == batch.Lengths.Length
            ? (int)tokens
            : throw new ArgumentException(
                $"A batch of {batch.Lengths.Length} samples with {tokens} tokens of width {batch.Width} as {batch.WireType.Name()} needs {hidden} bytes of hidden states, "
                + $"{scales} of scales, {labels} labels and {batch.Lengths.Length} ids; it has {batch.HiddenStates.Length}, {batch.Scales.Length}, {batch.Labels.Length} and {batch.SampleIds.Length}.",
                nameof(batch));
    }

    private static int CheckLengths(ActivationBatch batch)
    {
        var tokens = batch.Lengths.Sum(length => (long)length);
        Refuse(batch, ActivationBatchChecks.Lengths(batch.Lengths, tokens, NoLimits)
            ?? ActivationBatchChecks.Sizes(batch.Lengths.Length, tokens, batch.Width, NoLimits));
        return (int)tokens;
    }

    /// <summary>As <see cref="CheckSizes"/>, but for the numbers, which are not there yet.</summary>
    private static int CheckCounts(ActivationBatch batch)
    {
        var tokens = CheckLengths(batch);
        var labels = batch.LabelsPerToken ? tokens : batch.Lengths.Length;
        return batch.Labels.Length == labels && batch.SampleIds.Length == batch.Lengths.Length
            ? tokens
            : throw new ArgumentException(
                $"A batch of {batch.Lengths.Length} samples with {tokens} tokens needs {labels} labels and {batch.Lengths.Length} ids; it has {batch.Labels.Length} and {batch.SampleIds.Length}.",
                nameof(batch));
    }

    private static void Refuse(ActivationBatch batch, WireRefusal? refusal)
    {
        if (refusal is not null)
        {
            throw new ArgumentException(refusal.Text, nameof(batch));
        }
    }

    private static string Checksum(ReadOnlySpan<byte> data) => XxHash128.HashToUInt128(data).ToString("x32");

    /// <summary>Where everything stands in a body.</summary>
    private readonly record struct Form(TensorEntry[] Layout, byte[] Header, int Bytes)
    {
        public static Form Of(BatchMetadata metadata, int samples, int tokens, ActivationBatch batch)
        {
            var layout = Format.Layout(samples, tokens, batch.Width, batch.WireType, metadata.LabelsPerToken);
            var header = Format.Header(layout, metadata).ToArray();
            return new Form(layout, header, checked((int)(header.Length + layout[^1].End)));
        }
    }

    private readonly record struct Shape(int Samples, int Tokens, int Width, WireType Type);
}
