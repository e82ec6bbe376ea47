using System.Text;
using CsCheck;

namespace SplitFrozen.Tokenizers.Tests;

/// <summary>Random texts of any Unicode scalar values, weighted towards what pre-tokenizers treat specially.</summary>
internal static class UnicodeTexts
{
    private static readonly Gen<int> s_scalar = Gen.Frequency(
        (4, Gen.Int[0x20, 0x7E]),
        (2, Gen.OneOf(' ', '\t', '\n', '\r', '\'', '\u00a0', '\u3000', '\0').Select(c => (int)c)),
        (2, Gen.Int[0x80, 0xD7FF]),
        (1, Gen.Int[0xE000, 0xFFFF]),
        (2, Gen.Int[0x10000, 0x10FFFF]),
        (1, Gen.Int[0x1D400, 0x1D7FF]),
        (1, Gen.Int[0x1F600, 0x1F64F]));

    public static Gen<string> Any { get; } =
        s_scalar.Array[0, 40].Select(scalars => string.Concat(scalars.Select(scalar => new Rune(scalar).ToString())));
}
