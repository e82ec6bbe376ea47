using System.Text;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Tasks.Tests.Support;

/// <summary>One id per UTF-8 byte, so that expected ids can be written down; 256 ends a text, 257 begins one.</summary>
internal sealed class ByteTokenizer(bool hasEnd = true, bool hasBegin = false) : ITextTokenizer
{
    public const int End = 256;
    public const int Begin = 257;

    public int VocabularySize => 258;

    public int? BeginOfTextId => hasBegin ? Begin : null;

    public int? EndOfTextId => hasEnd ? End : null;

    public int[] Encode(string text) => [.. Encoding.UTF8.GetBytes(text).Select(b => (int)b)];

    public string Decode(IReadOnlyList<int> ids) =>
        Encoding.UTF8.GetString([.. ids.Select(id => id is >= 0 and < 256 ? (byte)id : throw new ArgumentOutOfRangeException(nameof(ids)))]);
}
