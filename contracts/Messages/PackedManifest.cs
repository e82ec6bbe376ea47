using System.Buffers.Binary;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Messages;

/// <summary>
/// A manifest as little-endian records of <see cref="RecordBytes"/> bytes: id (8), length (4), digest (16). As JSON an entry takes
/// about 90 bytes; packed and in base64 it takes 37, so that 400,000 samples fit into one message.
/// </summary>
public static class PackedManifest
{
    /// <summary>Bytes of one entry.</summary>
    public const int RecordBytes = 8 + 4 + 16;

    /// <summary>The entries' bytes, in order.</summary>
    public static byte[] Pack(ReadOnlySpan<ManifestEntry> manifest)
    {
        var bytes = new byte[manifest.Length * RecordBytes];
        for (var i = 0; i < manifest.Length; i++)
        {
            var record = bytes.AsSpan(i * RecordBytes, RecordBytes);
            BinaryPrimitives.WriteInt64LittleEndian(record, manifest[i].Id.Value);
            BinaryPrimitives.WriteInt32LittleEndian(record[8..], manifest[i].Length);
            BinaryPrimitives.WriteUInt128LittleEndian(record[12..], manifest[i].Digest.Value);
        }

        return bytes;
    }

    /// <summary>The entries; null when the bytes are not whole records.</summary>
    public static ManifestEntry[]? TryUnpack(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length % RecordBytes != 0)
        {
            return null;
        }

        var entries = new ManifestEntry[bytes.Length / RecordBytes];
        for (var i = 0; i < entries.Length; i++)
        {
            var record = bytes.Slice(i * RecordBytes, RecordBytes);
            entries[i] = new ManifestEntry(
                new SampleId(BinaryPrimitives.ReadInt64LittleEndian(record)),
                BinaryPrimitives.ReadInt32LittleEndian(record[8..]),
                new ContentDigest(BinaryPrimitives.ReadUInt128LittleEndian(record[12..])));
        }

        return entries;
    }
}
