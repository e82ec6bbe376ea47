using System.Text;

namespace SplitFrozen.Tokenizers;

/// <summary>
/// SentencePiece BPE with byte fallback (Kudo and Richardson, 2018): spaces become U+2581, and the neighbours whose joined
/// text is the piece of the highest score are merged, leftmost first. Done here and not by Microsoft.ML.Tokenizers because
/// that lets text merge into control and byte pieces, so that a user who writes <c>&lt;s&gt;</c> can begin a new text.
/// A U+2581 in the text decodes as a space, as in the original.
/// </summary>
internal sealed class SentencePieceTokenizer : ITextTokenizer
{
    private const char Space = '\u2581';

    private readonly SentencePieceModel _model;
    private readonly Dictionary<string, int> _ids = [];
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _idsBySpan;
    private readonly int[] _idOfByte = new int[256];
    private readonly byte[][] _bytesOfId;

    public SentencePieceTokenizer(SentencePieceModel model)
    {
        _model = model;
        _bytesOfId = new byte[model.Pieces.Count][];
        var byteOfName = Enumerable.Range(0, 256).ToDictionary(value => SentencePieceReader.ByteName((byte)value), value => (byte)value);
        for (var id = 0; id < model.Pieces.Count; id++)
        {
            var piece = model.Pieces[id];
            if (piece.Kind == SentencePieceKind.Byte)
            {
                _idOfByte[byteOfName[piece.Text]] = id;
                _bytesOfId[id] = [byteOfName[piece.Text]];
                continue;
            }

            if (piece.Kind == SentencePieceKind.Normal)
            {
                _ids.Add(piece.Text, id);
            }

            _bytesOfId[id] = Encoding.UTF8.GetBytes(piece.Text.Replace(Space, ' '));
        }

        _idsBySpan = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <inheritdoc/>
    public int VocabularySize => _bytesOfId.Length;

    /// <inheritdoc/>
    public int? BeginOfTextId => _model.BeginOfTextId < 0 ? null : _model.BeginOfTextId;

    /// <inheritdoc/>
    public int? EndOfTextId => _model.EndOfTextId < 0 ? null : _model.EndOfTextId;

    /// <inheritdoc/>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        UnicodeText.ThrowIfMalformed(text);
        if (text.Length == 0)
        {
            return [];
        }

        var escaped = text.Replace(' ', Space);
        escaped = _model.AddDummyPrefix ? Space + escaped : escaped;
        var ids = new List<int>(escaped.Length);
        Span<byte> bytes = stackalloc byte[4];
        foreach (var symbol in Merge(escaped))
        {
            var piece = escaped.AsSpan(symbol.Start, symbol.Length);
            if (_idsBySpan.TryGetValue(piece, out var id))
            {
                ids.Add(id);
                continue;
            }

            foreach (var value in bytes[..Encoding.UTF8.GetBytes(piece, bytes)])
            {
                ids.Add(_idOfByte[value]);
            }
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
            bytes.AddRange((uint)id < (uint)_bytesOfId.Length
                ? _bytesOfId[id]
                : throw new ArgumentOutOfRangeException(
                    nameof(ids), id, $"Token id {id} is not in this vocabulary of {VocabularySize} entries."));
        }

        var text = Encoding.UTF8.GetString([.. bytes]);
        return _model.AddDummyPrefix && text.StartsWith(' ') ? text[1..] : text;
    }

    private List<Symbol> Merge(string text)
    {
        var symbols = Characters(text);
        var agenda = new PriorityQueue<Candidate, (float NegativeScore, int Left)>();
        for (var i = 1; i < symbols.Count; i++)
        {
            Propose(text, symbols, i - 1, i, agenda);
        }

        while (agenda.TryDequeue(out var best, out _))
        {
            var left = symbols[best.Left];
            var right = symbols[best.Right];
            if (left.Length == 0 || right.Length == 0 || left.Length + right.Length != best.Length)
            {
                continue;
            }

            symbols[best.Left] = left with { Length = best.Length, Next = right.Next };
            symbols[best.Right] = right with { Length = 0 };
            if (right.Next >= 0)
            {
                symbols[right.Next] = symbols[right.Next] with { Previous = best.Left };
                Propose(text, symbols, best.Left, right.Next, agenda);
            }

            if (left.Previous >= 0)
            {
                Propose(text, symbols, left.Previous, best.Left, agenda);
            }
        }

        symbols.RemoveAll(symbol => symbol.Length == 0);
        return symbols;
    }

    private static List<Symbol> Characters(string text)
    {
        var symbols = new List<Symbol>(text.Length);
        for (var start = 0; start < text.Length;)
        {
            var length = char.IsHighSurrogate(text[start]) ? 2 : 1;
            var next = start + length < text.Length ? symbols.Count + 1 : -1;
            symbols.Add(new Symbol(start, length, symbols.Count - 1, next));
            start += length;
        }

        return symbols;
    }

    private void Propose(
        string text, List<Symbol> symbols, int left, int right, PriorityQueue<Candidate, (float NegativeScore, int Left)> agenda)
    {
        var length = symbols[left].Length + symbols[right].Length;
        if (_idsBySpan.TryGetValue(text.AsSpan(symbols[left].Start, length), out var id))
        {
            agenda.Enqueue(new Candidate(left, right, length), (-_model.Pieces[id].Score, left));
        }
    }

    /// <summary>A stretch of text, linked to its neighbours by index (-1 for none); length 0 once it was merged away.</summary>
    private readonly record struct Symbol(int Start, int Length, int Previous, int Next);

    /// <summary>Two neighbours that could merge; stale when their lengths no longer add up.</summary>
    private readonly record struct Candidate(int Left, int Right, int Length);
}
