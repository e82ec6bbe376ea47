using System.Text;
using Microsoft.ML.Tokenizers;

namespace SplitFrozen.Tokenizers;

/// <summary>
/// Byte-level byte-pair encoding (GPT-2, Llama 3). The merging is Microsoft.ML.Tokenizers'; cutting into pieces, the guard
/// against special tokens in text, and decoding are done here, where that library is silent about faults.
/// </summary>
internal sealed class ByteLevelTokenizer : ITextTokenizer
{
    private readonly PieceSplitter _splitter;
    private readonly Tokenizer _merger;
    private readonly byte[]?[] _bytesOfToken;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>>? _wholePieces;

    /// <param name="splitter">Cuts text into pieces.</param>
    /// <param name="merger">Encodes one piece; knows no special tokens.</param>
    /// <param name="bytesOfToken">The bytes by id, special tokens included; <see langword="null"/> where an id names nothing.</param>
    /// <param name="wholePieces">Tokens, by their text, that stand for a whole piece without merging; <see langword="null"/> for none.</param>
    public ByteLevelTokenizer(
        PieceSplitter splitter, Tokenizer merger, byte[]?[] bytesOfToken, Dictionary<string, int>? wholePieces = null)
    {
        _splitter = splitter;
        _merger = merger;
        _bytesOfToken = bytesOfToken;
        _wholePieces = wholePieces?.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <inheritdoc/>
    public int VocabularySize => _bytesOfToken.Length;

    /// <inheritdoc/>
    public int? BeginOfTextId { get; init; }

    /// <inheritdoc/>
    public int? EndOfTextId { get; init; }

    /// <inheritdoc/>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        UnicodeText.ThrowIfMalformed(text);
        var ends = new List<int>(text.Length / 4);
        _splitter.Split(text, ends);
        var ids = new List<int>(ends.Count + 8);
        var start = 0;
        foreach (var end in ends)
        {
            var piece = text.AsSpan(start, end - start);
            if (_wholePieces is { } whole && whole.TryGetValue(piece, out var id))
            {
                ids.Add(id);
            }
            else
            {
                ids.AddRange(_merger.EncodeToIds(piece, considerPreTokenization: false, considerNormalization: false));
            }

            start = end;
        }

        return [.. ids];
    }

    /// <inheritdoc/>
    public string Decode(IReadOnlyList<int> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var bytes = new List<byte>(ids.Count * 4);
        foreach (var id in ids)
        {
            var token = (uint)id < (uint)_bytesOfToken.Length ? _bytesOfToken[id] : null;
            bytes.AddRange(token ?? throw new ArgumentOutOfRangeException(
                nameof(ids), id, $"Token id {id} is not in this vocabulary of {VocabularySize} entries."));
        }

        return Encoding.UTF8.GetString([.. bytes]);
    }
}
