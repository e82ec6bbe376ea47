namespace SplitFrozen.Tokenizers;

/// <summary>
/// The printable characters by which byte-level BPE writes the 256 bytes (GPT-2, <c>bytes_to_unicode</c>): printable Latin-1
/// stands for itself, the other 68 bytes are U+0100 and up in byte order.
/// </summary>
internal static class ByteSymbols
{
    private static readonly char[] s_symbolOfByte = MakeSymbols();
    private static readonly short[] s_byteOfSymbol = Invert(s_symbolOfByte);

    /// <summary>The 256 bytes in the order of their GPT-2 ids: those that stand for themselves first.</summary>
    public static IReadOnlyList<byte> BytesInVocabularyOrder { get; } =
        [.. Enumerable.Range(0, 256).Select(value => (byte)value).OrderBy(value => s_symbolOfByte[value])];

    public static char SymbolOf(byte value) => s_symbolOfByte[value];

    /// <summary>The bytes that <paramref name="token"/> stands for; false when a character of it is no byte symbol.</summary>
    public static bool TryGetBytes(string token, out byte[] bytes)
    {
        bytes = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
        {
            var value = token[i] < s_byteOfSymbol.Length ? s_byteOfSymbol[token[i]] : (short)-1;
            if (value < 0)
            {
                return false;
            }

            bytes[i] = (byte)value;
        }

        return true;
    }

    private static char[] MakeSymbols()
    {
        var symbols = new char[256];
        var next = (char)256;
        for (var value = 0; value < 256; value++)
        {
            symbols[value] = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE ? (char)value : next++;
        }

        return symbols;
    }

    private static short[] Invert(char[] symbols)
    {
        var inverse = new short[symbols.Max() + 1];
        Array.Fill(inverse, (short)-1);
        for (var value = 0; value < symbols.Length; value++)
        {
            inverse[symbols[value]] = (short)value;
        }

        return inverse;
    }
}
