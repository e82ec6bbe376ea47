using System.Text;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Trainer;
using SplitFrozen.Trainer.Stages;
using static TorchSharp.torch;

namespace SplitFrozen.Services.Tests.Trainer.Stages;

public sealed class StageMessageTests
{
    [Fact]
    public void Encode_ContentAndTensors_ComeBackToTheBit()
    {
        using var odd = tensor(new[] { float.NaN, -0f, float.Epsilon, 1f / 3 }).view(2, 2);
        using var transposed = odd.t();
        using var message = StageMessage.Of(StageMessageKind.Update, 7, new UpdateCommand(1.0 / 3, double.NaN)) with { Tensors = [("a", odd), ("b", transposed)] };
        using var read = StageMessage.Decode(message.Encode());
        Assert.Equal((StageMessageKind.Update, 7), (read.Kind, read.Number));
        Assert.Equal(new UpdateCommand(1.0 / 3, double.NaN), read.Read<UpdateCommand>());
        using var a = read.Take("a")!;
        using var b = read.Take("b")!;
        Assert.Equal(Torch.TensorBytes.ToBytes(odd), Torch.TensorBytes.ToBytes(a));
        Assert.Equal(Torch.TensorBytes.ToBytes(transposed), Torch.TensorBytes.ToBytes(b));
        Assert.Null(read.Take("c"));
    }

    public static TheoryData<string, byte[]> Bad => new()
    {
        { "empty", [] },
        { "no safetensors", Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\n\r\n") },
        { "no kind", Body(("number", "1")) },
        { "unknown kind", Body(("kind", "Explode"), ("number", "1")) },
        { "negative number", Body(("kind", "Ping"), ("number", "-1")) },
        { "integers", Body(ElementType.Int64, ("kind", "Ping"), ("number", "1")) },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void Decode_WhatIsNoMessage_IsRefused(string what, byte[] body) =>
        Assert.Contains("cannot be read", Assert.Throws<TrainerException>(() => StageMessage.Decode(body)).Message + what, StringComparison.Ordinal);

    [Fact]
    public void Read_AnotherContent_IsRefused()
    {
        using var message = new StageMessage(StageMessageKind.Update, 1, "[1, 2]", []);
        Assert.Contains("does not hold a UpdateCommand", Assert.Throws<TrainerException>(() => message.Read<UpdateCommand>()).Message, StringComparison.Ordinal);
    }

    private static byte[] Body(params (string Key, string Value)[] metadata) => Body(ElementType.Float32, metadata);

    private static byte[] Body(ElementType type, params (string Key, string Value)[] metadata)
    {
        var writer = new SafetensorsWriter();
        writer.Add("x", type, [1], new byte[type.Bytes()]);
        foreach (var (key, value) in metadata)
        {
            writer.SetMetadata(key, value);
        }

        using var stream = new MemoryStream();
        writer.WriteTo(stream);
        return stream.ToArray();
    }
}
