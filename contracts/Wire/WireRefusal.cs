namespace SplitFrozen.Contracts.Wire;

/// <summary>Why a body is refused.</summary>
public enum WireRefusalReason
{
    /// <summary>More bytes than the receiver accepts.</summary>
    TooLarge,

    /// <summary>Not a safetensors file, cut off, or with a header that lies.</summary>
    NotSafetensors,

    /// <summary>Metadata are missing, unknown or malformed, or the format version is another one.</summary>
    BadMetadata,

    /// <summary>A tensor is missing or there is one that does not belong there.</summary>
    BadTensors,

    /// <summary>A tensor has another element type than the format says.</summary>
    BadElementType,

    /// <summary>A tensor has another rank or extent than the format says.</summary>
    BadShape,

    /// <summary>More samples or longer ones than the receiver accepts.</summary>
    TooManyTokens,

    /// <summary>Another run, client, model, cut, width, wire type or kind of labels than the receiver expects.</summary>
    NotExpected,

    /// <summary>The same content in another form than the one that the format prescribes.</summary>
    NotCanonical,

    /// <summary>The tensor bytes are not those that the sender summed.</summary>
    BadChecksum,

    /// <summary>A length is not positive, or lengths do not add up to the rows of the hidden states.</summary>
    BadLengths,

    /// <summary>A sample id is malformed or there twice.</summary>
    BadSampleIds,

    /// <summary>A label is out of range.</summary>
    BadLabels,

    /// <summary>A hidden state is infinite or not a number.</summary>
    NotFinite,

    /// <summary>A scale is negative, infinite or not a number.</summary>
    BadScales,
}

/// <summary>A refused body: the reason as a value, and as one sentence for people.</summary>
/// <param name="Reason">The reason.</param>
/// <param name="Text">One sentence that names what is wrong.</param>
public sealed record WireRefusal(WireRefusalReason Reason, string Text)
{
    /// <inheritdoc/>
    public override string ToString() => Text;
}
