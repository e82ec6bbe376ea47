using System.Diagnostics;
using System.Text;
using CsCheck;
using SplitFrozen.Messaging.Telemetry;

namespace SplitFrozen.Messaging.Tests.Telemetry;

/// <summary>What a stranger puts in the headers is taken where it is well formed, and is otherwise as if it were not there.</summary>
public sealed class TraceHeadersTests
{
    private const string Good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    [Fact]
    public void Read_GoodContext_IsTaken()
    {
        var context = TraceHeaders.Read(Headers(Good, "vendor=value"));

        Assert.Equal("0af7651916cd43dd8448eb211c80319c", context.TraceId.ToHexString());
        Assert.Equal("b7ad6b7169203331", context.SpanId.ToHexString());
        Assert.Equal((ActivityTraceFlags.Recorded, "vendor=value", true), (context.TraceFlags, context.TraceState, context.IsRemote));
    }

    [Theory]
    [InlineData("")]
    [InlineData("00")]
    [InlineData("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331")]
    [InlineData("00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01")]
    [InlineData("00-00000000000000000000000000000000-b7ad6b7169203331-01")]
    [InlineData("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01")]
    [InlineData("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-and-more")]
    [InlineData("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    [InlineData("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\n")]
    [InlineData("00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01")]
    public void Read_BadContext_IsIgnored(string traceParent) => Assert.Equal(default, TraceHeaders.Read(Headers(traceParent, null)));

    [Fact]
    public void Read_OtherTypesAndSizes_AreIgnored()
    {
        Assert.Equal(default, TraceHeaders.Read(null));
        Assert.Equal(default, TraceHeaders.Read(new Dictionary<string, object?>()));
        object?[] values = [null, 7L, Good, new List<object?> { Good }, new Dictionary<string, object?> { ["traceparent"] = Good }, Bytes(Good + new string('0', 100_000))];
        Assert.All(values, value => Assert.Equal(default, TraceHeaders.Read(new Dictionary<string, object?> { ["traceparent"] = value })));
    }

    [Theory]
    [InlineData(513)]
    [InlineData(100_000)]
    public void Read_LongState_IsLeftOut(int length)
    {
        var context = TraceHeaders.Read(Headers(Good, new string('x', length)));

        Assert.Null(context.TraceState);
        Assert.Equal("b7ad6b7169203331", context.SpanId.ToHexString());
    }

    [Fact]
    public void Read_AnyBytes_NeverThrowsAndTakesOnlyWhatIsWellFormed() =>
        Gen.Select(Gen.Byte.Array[0, 80], Gen.Byte.Array[0, 80], Gen.Int[0, 54], Gen.Byte).Sample((parent, state, place, replacement) =>
        {
            var damaged = Bytes(Good);
            damaged[place] = replacement;
            foreach (var bytes in new[] { parent, damaged })
            {
                var context = TraceHeaders.Read(new Dictionary<string, object?> { ["traceparent"] = bytes, ["tracestate"] = state });
                Assert.True(context == default || (context.TraceId != default && context.SpanId != default && bytes.Length <= 128));
            }
        });

    [Fact]
    public void Write_CurrentSpan_IsReadAgain()
    {
        using var activity = new Activity("test").SetIdFormat(ActivityIdFormat.W3C).Start();
        activity.TraceStateString = "a=b";
        var headers = new Dictionary<string, object?>();
        TraceHeaders.Write(activity: null, headers);

        var sent = headers.ToDictionary(pair => pair.Key, pair => (object?)Bytes((string)pair.Value!));
        var context = TraceHeaders.Read(sent);
        Assert.Equal((activity.TraceId, activity.SpanId, "a=b"), (context.TraceId, context.SpanId, context.TraceState));
    }

    private static byte[] Bytes(string text) => Encoding.Latin1.GetBytes(text);

    private static Dictionary<string, object?> Headers(string traceParent, string? traceState) =>
        new() { ["traceparent"] = Bytes(traceParent), ["tracestate"] = traceState is null ? null : Bytes(traceState) };
}
