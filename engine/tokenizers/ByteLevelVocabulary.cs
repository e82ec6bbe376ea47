using System.Text;
using Microsoft.ML.Tokenizers;

namespace SplitFrozen.Tokenizers;

/// <summary>The tokens, merges and special tokens of a byte-level BPE before it becomes a tokenizer; checks that they fit together.</summary>
internal sealed class ByteLevelVocabulary(
    string vocabularyFile, Dictionary<string, int> ids, string mergesFile, List<(string Left, string Right)> merges)
{
    /// <summary>Names in the vocabulary that are special: text never becomes them.</summary>
    public IReadOnlyCollection<string> Special { get; init; } = [];

    /// <summary>Tokens added beside the vocabulary, by id; special in the same sense.</summary>
    public IReadOnlyDictionary<string, int> Added { get; init; } = new Dictionary<string, int>();

    /// <summary>Builds the tokenizer.</summary>
    /// <exception cref="TokenizerFormatException">A byte has no token, a merge has no result, or ids collide.</exception>
    public ByteLevelTokenizer Build(PieceSplitter splitter, string? beginOfText, string? endOfText, bool ignoreMerges)
    {
        var content = new Dictionary<string, int>(ids);
        var special = new Dictionary<string, int>();
        foreach (var name in Special)
        {
            if (content.Remove(name, out var id))
            {
                special[name] = id;
            }
        }

        foreach (var (name, id) in Added)
        {
            content.Remove(name);
            special[name] = id;
        }

        CheckBytes(content);
        CheckMerges(content);
        var merger = BpeTokenizer.Create(new BpeOptions(content)
        {
            Merges = merges.Select(merge => $"{merge.Left} {merge.Right}"),
            ByteLevel = true,
        });
        var bytes = TokenBytes(content, special);
        var whole = ignoreMerges ? WholePieces(content, bytes) : null;
        return new ByteLevelTokenizer(splitter, merger, bytes, whole)
        {
            BeginOfTextId = IdOf(beginOfText, special),
            EndOfTextId = IdOf(endOfText, special),
        };
    }

    private static int? IdOf(string? name, Dictionary<string, int> special) =>
        name is not null && special.TryGetValue(name, out var id) ? id : null;

    private void CheckBytes(Dictionary<string, int> content)
    {
        foreach (var value in ByteSymbols.BytesInVocabularyOrder)
        {
            if (!content.ContainsKey(ByteSymbols.SymbolOf(value).ToString()))
            {
                throw new TokenizerFormatException(
                    vocabularyFile,
                    $"byte 0x{value:X2} has no token (\"{ByteSymbols.SymbolOf(value)}\"), so this is no byte-level vocabulary.",
                    "Use a GPT-2 or Llama 3 tokenizer.");
            }
        }
    }

    private void CheckMerges(Dictionary<string, int> content)
    {
        foreach (var (left, right) in merges)
        {
            if (!content.ContainsKey(left) || !content.ContainsKey(right) || !content.ContainsKey(left + right))
            {
                throw new TokenizerFormatException(
                    mergesFile,
                    $"the merge \"{left} {right}\" needs tokens that {Path.GetFileName(vocabularyFile)} does not have.",
                    "Take vocabulary and merges from the same model.");
            }
        }
    }

    private byte[]?[] TokenBytes(Dictionary<string, int> content, Dictionary<string, int> special)
    {
        var bytes = new byte[]?[content.Values.Concat(special.Values).Max() + 1];
        foreach (var (token, id) in content)
        {
            bytes[id] = ByteSymbols.TryGetBytes(token, out var value)
                ? value
                : throw new TokenizerFormatException(
                    vocabularyFile,
                    $"token \"{token}\" (id {id}) holds characters that stand for no byte.",
                    "List it among the added tokens if it is special.");
        }

        foreach (var (name, id) in special)
        {
            bytes[id] = bytes[id] is null
                ? Encoding.UTF8.GetBytes(name)
                : throw new TokenizerFormatException(
                    vocabularyFile, $"special token \"{name}\" has id {id}, which another token holds too.", "Every token has one id of its own.");
        }

        return bytes;
    }

    private static Dictionary<string, int> WholePieces(Dictionary<string, int> content, byte[]?[] bytes)
    {
        var strict = new UTF8Encoding(false, throwOnInvalidBytes: true);
        var pieces = new Dictionary<string, int>();
        foreach (var id in content.Values)
        {
            try
            {
                pieces[strict.GetString(bytes[id]!)] = id;
            }
            catch (DecoderFallbackException)
            {
                // A token of part of a character can never be a whole piece of text.
            }
        }

        return pieces;
    }
}
