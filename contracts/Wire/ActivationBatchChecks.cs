using SplitFrozen.Contracts.Safetensors;

namespace SplitFrozen.Contracts.Wire;

/// <summary>The checks of a batch's values, the same for what is encoded and for what arrives.</summary>
internal static class ActivationBatchChecks
{
    /// <summary>Lengths: each from 1 to the limit, together <paramref name="tokens"/>.</summary>
    public static WireRefusal? Lengths(ReadOnlySpan<int> lengths, long tokens, WireLimits limits)
    {
        var sum = 0L;
        foreach (var length in lengths)
        {
            if (length < 1)
            {
                return new(WireRefusalReason.BadLengths, $"A sample has length {length}; lengths are at least 1.");
            }

            if (length > limits.MaximumTokensPerSample)
            {
                return new(WireRefusalReason.TooManyTokens, $"A sample has {length} tokens; at most {limits.MaximumTokensPerSample} are accepted.");
            }

            sum += length;
        }

        return sum == tokens
            ? null
            : new(WireRefusalReason.BadLengths, $"The lengths add up to {sum}, but there are {tokens} rows of hidden states.");
    }

    /// <summary>Sample ids: of a training sample or a held-out row, none twice.</summary>
    public static WireRefusal? SampleIds(ReadOnlySpan<SampleId> ids)
    {
        var seen = new HashSet<long>(ids.Length);
        foreach (var id in ids)
        {
            if (!id.IsPossible)
            {
                return new(WireRefusalReason.BadSampleIds, $"The sample id {id.Value} names no sample.");
            }

            if (!seen.Add(id.Value))
            {
                return new(WireRefusalReason.BadSampleIds, $"The sample {id} is there twice.");
            }
        }

        return null;
    }

    /// <summary>Labels: from 0 to the limit, or -100 where labels are per token.</summary>
    public static WireRefusal? Labels(ReadOnlySpan<int> labels, bool perToken, WireLimits limits)
    {
        foreach (var label in labels)
        {
            if ((label < 0 && !(perToken && label == -100)) || label >= (limits.LabelLimit ?? int.MaxValue))
            {
                return new(WireRefusalReason.BadLabels, limits.LabelLimit is { } limit
                    ? $"The label {label} is not in [0, {limit}){(perToken ? " and not -100" : "")}."
                    : $"The label {label} is negative{(perToken ? " and not -100" : "")}.");
            }
        }

        return null;
    }

    /// <summary>Hidden states are finite; scales are finite and not negative.</summary>
    public static WireRefusal? Numbers(ReadOnlySpan<byte> hiddenStates, ReadOnlySpan<byte> scales, WireType type)
    {
        if (!Finiteness.AllFinite(hiddenStates, type))
        {
            return new(WireRefusalReason.NotFinite, "The hidden states hold an infinity or a NaN.");
        }

        return Finiteness.AllFiniteAndNotNegative(scales)
            ? null
            : new(WireRefusalReason.BadScales, "A scale is negative, infinite or not a number.");
    }

    /// <summary>Sizes, which bound memory.</summary>
    public static WireRefusal? Sizes(long samples, long tokens, long width, WireLimits limits)
    {
        if (samples < 1 || tokens < samples || width < 1)
        {
            return new(WireRefusalReason.BadShape, $"A batch of {samples} samples with {tokens} tokens of width {width} is none: every sample has a token, and the width is at least 1.");
        }

        return samples > limits.MaximumSamples || samples > int.MaxValue || tokens > int.MaxValue || width > int.MaxValue
            ? new(WireRefusalReason.TooManyTokens, $"The batch has {samples} samples; at most {limits.MaximumSamples} are accepted.")
            : null;
    }

    /// <summary>What the receiver knows about the run.</summary>
    public static WireRefusal? Expectations(BatchMetadata metadata, int width, WireType type, WireLimits limits)
    {
        if (limits.RunId is { } run && run != metadata.RunId)
        {
            return Unexpected("run", metadata.RunId, run);
        }

        if (limits.ClientId is { } client && client != metadata.ClientId)
        {
            return Unexpected("client", metadata.ClientId, client);
        }

        if (limits.ModelFingerprint is { } fingerprint && fingerprint != metadata.ModelFingerprint)
        {
            return new(WireRefusalReason.NotExpected,
                $"The model fingerprint is {metadata.ModelFingerprint}, but the server's model has {fingerprint}: the device runs another model.");
        }

        if (limits.Cut is { } cut && cut != metadata.Cut)
        {
            return Unexpected("cut", $"{metadata.Cut}", $"{cut}");
        }

        if (limits.Width is { } expectedWidth && expectedWidth != width)
        {
            return Unexpected("width", $"{width}", $"{expectedWidth}");
        }

        if (limits.WireType is { } expectedType && expectedType != type)
        {
            return Unexpected("wire type", type.Name(), expectedType.Name());
        }

        return limits.LabelsPerToken is { } perToken && perToken != metadata.LabelsPerToken
            ? Unexpected("kind of labels", metadata.LabelsPerToken ? "per token" : "per sample", perToken ? "per token" : "per sample")
            : null;
    }

    private static WireRefusal Unexpected(string what, string found, string expected) =>
        new(WireRefusalReason.NotExpected, $"The {what} is {SafetensorsHeaderParser.Show(found)}, but {SafetensorsHeaderParser.Show(expected)} is expected.");
}
