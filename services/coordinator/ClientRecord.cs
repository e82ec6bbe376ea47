using System.Buffers.Binary;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Coordinator;

/// <summary>
/// A registration as the ledger keeps it, so that a coordinator that starts again knows the samples of clients that are away.
/// Little-endian: <c>i32</c> cut, then the packed manifest.
/// </summary>
internal readonly record struct ClientRecord(int Cut, ManifestEntry[] Manifest)
{
    /// <summary>The bytes for the ledger.</summary>
    public byte[] ToBytes()
    {
        var cut = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(cut, Cut);
        return [.. cut, .. PackedManifest.Pack(Manifest)];
    }

    /// <summary>Reads what <see cref="ToBytes"/> wrote; null when the length does not fit.</summary>
    public static ClientRecord? TryRead(ReadOnlySpan<byte> bytes) =>
        bytes.Length >= sizeof(int) && PackedManifest.TryUnpack(bytes[sizeof(int)..]) is { } manifest
            ? new ClientRecord(BinaryPrimitives.ReadInt32LittleEndian(bytes), manifest)
            : null;
}
