using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace SplitFrozen.Torch;

/// <summary>
/// Edits the one TorchSharp library that asks for a newer C++ runtime (GLIBCXX_3.4.32, GCC 13) than Debian 12, Ubuntu 22.04
/// and RHEL 9 have. One symbol is behind the demand, <c>_ZSt21ios_base_library_initv</c>, whose call does nothing where
/// iostreams are initialised by the runtime itself. The version demand becomes weak, and the symbol is renamed to
/// <c>sched_yield</c>, a harmless call without arguments. File layout: System V ABI, ELF-64 little-endian.
/// </summary>
internal static class BridgeRelaxation
{
    /// <summary>SHA-256 of <c>libLibTorchSharp.so</c> of TorchSharp 0.107.0 for linux-x64: the only file that is edited.</summary>
    internal const string KnownSha256 = "cf33b1b0bb6bbb9754a768fb5c5d04d9f498603be50e73f55621a0b40ee608b8";

    private const string MissingVersion = "GLIBCXX_3.4.32";
    private const string MissingSymbol = "_ZSt21ios_base_library_initv";
    private const string Replacement = "sched_yield";
    private const int SectionTableOffset = 0x28;
    private const int SectionCountOffset = 0x3C;
    private const int SectionHeaderBytes = 64;
    private const int SymbolBytes = 24;
    private const ushort WeakFlag = 2;
    private const ushort GlobalVersion = 1;

    /// <summary>Whether these bytes are the library that <see cref="Apply"/> knows.</summary>
    internal static bool IsKnown(ReadOnlySpan<byte> library) =>
        Convert.ToHexStringLower(SHA256.HashData(library)) == KnownSha256;

    /// <summary>Makes the edits in place.</summary>
    /// <exception cref="InvalidDataException">The symbol or the version demand is not where it was expected.</exception>
    internal static void Apply(Span<byte> library)
    {
        var names = SectionOffset(library, ".dynstr").Offset;
        if (!RenameSymbol(library, names) || !WeakenVersion(library, names))
        {
            throw new InvalidDataException($"The library does not ask for {MissingSymbol} of {MissingVersion}.");
        }
    }

    private static bool RenameSymbol(Span<byte> library, int names)
    {
        var symbols = SectionOffset(library, ".dynsym");
        var versions = SectionOffset(library, ".gnu.version").Offset;
        for (var i = 0; i < symbols.Length / SymbolBytes; i++)
        {
            var nameAt = names + ReadInt32(library, symbols.Offset + (i * SymbolBytes));
            if (NameAt(library, nameAt) == MissingSymbol)
            {
                Encoding.ASCII.GetBytes(Replacement + '\0').CopyTo(library[nameAt..]);
                BinaryPrimitives.WriteUInt16LittleEndian(library[(versions + (2 * i))..], GlobalVersion);
                return true;
            }
        }

        return false;
    }

    private static bool WeakenVersion(Span<byte> library, int names)
    {
        // Elf64_Verneed { version, count, file, aux, next } heads a list of Elf64_Vernaux { hash, flags, other, name, next }.
        var found = false;
        var need = SectionOffset(library, ".gnu.version_r").Offset;
        for (int next; ; need += next)
        {
            var auxiliary = need + ReadInt32(library, need + 8);
            for (int nextAuxiliary; ; auxiliary += nextAuxiliary)
            {
                if (NameAt(library, names + ReadInt32(library, auxiliary + 8)) == MissingVersion)
                {
                    var flags = library[(auxiliary + 4)..];
                    BinaryPrimitives.WriteUInt16LittleEndian(flags, (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(flags) | WeakFlag));
                    found = true;
                }

                nextAuxiliary = ReadInt32(library, auxiliary + 12);
                if (nextAuxiliary == 0)
                {
                    break;
                }
            }

            next = ReadInt32(library, need + 12);
            if (next == 0)
            {
                return found;
            }
        }
    }

    private static (int Offset, int Length) SectionOffset(ReadOnlySpan<byte> library, string wanted)
    {
        var table = ReadInt64(library, SectionTableOffset);
        var count = BinaryPrimitives.ReadUInt16LittleEndian(library[SectionCountOffset..]);
        var namesIndex = BinaryPrimitives.ReadUInt16LittleEndian(library[(SectionCountOffset + 2)..]);
        var names = ReadInt64(library, table + (namesIndex * SectionHeaderBytes) + 24);
        for (var i = 0; i < count; i++)
        {
            var header = table + (i * SectionHeaderBytes);
            if (NameAt(library, names + ReadInt32(library, header)) == wanted)
            {
                return (ReadInt64(library, header + 24), ReadInt64(library, header + 32));
            }
        }

        throw new InvalidDataException($"The library has no section {wanted}.");
    }

    private static string NameAt(ReadOnlySpan<byte> library, int offset)
    {
        var tail = library[offset..];
        return Encoding.ASCII.GetString(tail[..tail.IndexOf((byte)0)]);
    }

    private static int ReadInt32(ReadOnlySpan<byte> library, int offset) =>
        BinaryPrimitives.ReadInt32LittleEndian(library[offset..]);

    private static int ReadInt64(ReadOnlySpan<byte> library, int offset) =>
        checked((int)BinaryPrimitives.ReadInt64LittleEndian(library[offset..]));
}
