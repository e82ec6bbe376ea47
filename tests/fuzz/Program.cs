using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;
using SharpFuzz;
using SplitFrozen.Contracts.Wire;

// Decodes whatever the fuzzer invents: the codec may refuse it, may not throw, and what it accepts must encode to the same bytes again.
// Instrumented code runs only within: before, the memory that it counts in is not there.
Fuzzer.OutOfProcess.Run(stream =>
{
    using var memory = new MemoryStream();
    stream.CopyTo(memory);
    var body = memory.ToArray();
    Check(body);
    if (Summed(body))
    {
        Check(body);
    }
});

static void Check(byte[] body)
{
    var batch = ActivationBatchCodec.Decode(body, new WireLimits { MaximumBodyBytes = 1 << 20 }, out var refusal);
    if (batch is null == refusal is null)
    {
        throw new InvalidOperationException("A body is either a batch or refused.");
    }

    if (batch is not null && !ActivationBatchCodec.Encode(batch).AsSpan().SequenceEqual(body))
    {
        throw new InvalidOperationException("A batch has more than one body.");
    }
}

// No fuzzer guesses a checksum, and a sender can always sum its own forgery.
static bool Summed(byte[] body)
{
    if (body.Length < 8 || BinaryPrimitives.ReadUInt64LittleEndian(body) is var length && length > (ulong)body.Length - 8)
    {
        return false;
    }

    var header = 8 + (int)length;
    var place = body.AsSpan(0, header).IndexOf("\"checksum\":\""u8) + 12;
    return place >= 12 && place + 32 <= header
        && Encoding.ASCII.GetBytes(Convert.ToHexStringLower(XxHash128.Hash(body.AsSpan(header))), body.AsSpan(place)) == 32;
}
