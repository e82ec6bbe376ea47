using System.Globalization;
using SplitFrozen.Contracts.Safetensors;

namespace SplitFrozen.Contracts.Wire;

/// <summary>Names and layout of format version 1. There is exactly one body for a batch: see <c>docs/wire-format.md</c>.</summary>
internal static class ActivationBatchFormat
{
    public const string Version = "splitfrozen-activations/1";
    public const string HiddenStates = "hidden_states";
    public const string Scales = "scales";
    public const string Lengths = "lengths";
    public const string SampleIds = "sample_ids";
    public const string Labels = "labels";
    public const string PerToken = "token";
    public const string PerSample = "sample";
    public const int ChecksumDigits = 32;

    /// <summary>Where the checksum's digits stand: 'checksum' is the first key, and metadata come first.</summary>
    public static readonly int ChecksumPosition = SafetensorsHeader.PrefixBytes + "{\"__metadata__\":{\"checksum\":\"".Length;

    /// <summary>The tensors in file order: by element width, widest first, then by name.</summary>
    public static TensorEntry[] Layout(int samples, int tokens, int width, WireType type, bool labelsPerToken)
    {
        var labels = labelsPerToken ? tokens : samples;
        List<(string Name, ElementType Type, long[] Shape, long Bytes)> tensors =
        [
            (SampleIds, ElementType.Int64, [samples], 8L * samples),
            (HiddenStates, type.ElementType(), [tokens, width], (long)tokens * width * type.ElementType().Bytes()),
            (Labels, ElementType.Int32, [labels], 4L * labels),
            (Lengths, ElementType.Int32, [samples], 4L * samples),
        ];
        if (type == WireType.Int8)
        {
            tensors.Add((Scales, ElementType.Float32, [tokens], 4L * tokens));
        }

        var position = 0L;
        return
        [
            .. tensors.OrderByDescending(tensor => tensor.Type.Bytes()).ThenBy(tensor => tensor.Name, StringComparer.Ordinal)
                .Select(tensor => new TensorEntry(tensor.Name, tensor.Type, tensor.Shape, position, position += tensor.Bytes)),
        ];
    }

    /// <summary>The header of a batch, length prefix included.</summary>
    public static ReadOnlySpan<byte> Header(TensorEntry[] layout, BatchMetadata metadata)
    {
        List<KeyValuePair<string, string>> pairs =
        [
            new("checksum", metadata.Checksum),
            new("cut", metadata.Cut.ToString(CultureInfo.InvariantCulture)),
            new("fingerprint", metadata.ModelFingerprint),
            new("format", Version),
            new("labels", metadata.LabelsPerToken ? PerToken : PerSample),
        ];
        if (metadata.ClientId.Length > 0)
        {
            pairs.Add(new("client", metadata.ClientId));
        }

        if (metadata.RunId.Length > 0)
        {
            pairs.Add(new("run", metadata.RunId));
        }

        return SafetensorsHeaderText.Build(layout, pairs);
    }
}

/// <summary>The metadata of a body.</summary>
/// <param name="RunId">The run; empty in a cache entry.</param>
/// <param name="ClientId">The client; empty in a cache entry.</param>
/// <param name="ModelFingerprint">Lower-case hex.</param>
/// <param name="Cut">Blocks applied.</param>
/// <param name="LabelsPerToken">Whether labels are one per token.</param>
/// <param name="Checksum">XXH128 of the tensor bytes, 32 lower-case hex digits.</param>
internal sealed record BatchMetadata(
    string RunId, string ClientId, string ModelFingerprint, int Cut, bool LabelsPerToken, string Checksum)
{
    private const int LongestName = 128;

    /// <summary>Reads the metadata map; null with a refusal where it is not one of this format.</summary>
    public static BatchMetadata? Read(IReadOnlyDictionary<string, string> map, out WireRefusal? refusal)
    {
        var format = map.GetValueOrDefault("format", "");
        if (format != ActivationBatchFormat.Version)
        {
            refusal = Bad($"The format is {SafetensorsHeaderParser.Show(format)}; '{ActivationBatchFormat.Version}' is expected.");
            return null;
        }

        string[] required = ["checksum", "cut", "fingerprint", "labels"];
        var missing = Array.Find(required, key => !map.ContainsKey(key));
        var unknown = map.Keys.FirstOrDefault(key => key is not ("format" or "run" or "client") && !required.Contains(key));
        if (missing is not null || unknown is not null)
        {
            refusal = Bad(missing is not null ? $"Metadata entry '{missing}' is missing." : $"Metadata entry {SafetensorsHeaderParser.Show(unknown!)} is unknown.");
            return null;
        }

        if (!int.TryParse(map["cut"], NumberStyles.None, CultureInfo.InvariantCulture, out var cut))
        {
            refusal = Bad($"The cut {SafetensorsHeaderParser.Show(map["cut"])} is not a number of blocks.");
            return null;
        }

        if (map["labels"] is not (ActivationBatchFormat.PerSample or ActivationBatchFormat.PerToken))
        {
            refusal = Bad($"Labels are per {SafetensorsHeaderParser.Show(map["labels"])}; 'sample' or 'token' is expected.");
            return null;
        }

        var metadata = new BatchMetadata(
            map.GetValueOrDefault("run", ""), map.GetValueOrDefault("client", ""), map["fingerprint"], cut,
            map["labels"] == ActivationBatchFormat.PerToken, map["checksum"]);
        refusal = metadata.Check();
        return refusal is null ? metadata : null;
    }

    /// <summary>The first fault of names, fingerprint and checksum; null where there is none.</summary>
    public WireRefusal? Check()
    {
        if (!IsName(RunId) || !IsName(ClientId))
        {
            return Bad($"The run id or client id is longer than {LongestName} characters or holds control characters.");
        }

        if (ModelFingerprint.Length is < 16 or > 128 || !IsHex(ModelFingerprint))
        {
            return Bad($"The model fingerprint {SafetensorsHeaderParser.Show(ModelFingerprint)} is not 16 to 128 lower-case hex digits.");
        }

        if (Cut < 0)
        {
            return Bad($"The cut {Cut} is negative.");
        }

        return Checksum.Length == ActivationBatchFormat.ChecksumDigits && IsHex(Checksum)
            ? null
            : Bad($"The checksum {SafetensorsHeaderParser.Show(Checksum)} is not {ActivationBatchFormat.ChecksumDigits} lower-case hex digits.");
    }

    private static WireRefusal Bad(string text) => new(WireRefusalReason.BadMetadata, text);

    private static bool IsHex(string text) => text.All(char.IsAsciiHexDigitLower);

    private static bool IsName(string text)
    {
        if (text.Length > LongestName || text.Any(char.IsControl))
        {
            return false;
        }

        for (var i = 0; i < text.Length; i++)
        {
            if (char.IsSurrogate(text[i]) && (i + 1 == text.Length || !char.IsSurrogatePair(text[i], text[++i])))
            {
                return false;
            }
        }

        return true;
    }
}
