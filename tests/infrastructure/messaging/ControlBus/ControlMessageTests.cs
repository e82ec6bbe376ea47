using System.Collections;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging.Abstractions;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Messaging.ControlBus;

namespace SplitFrozen.Messaging.Tests.ControlBus;

/// <summary>Every message of the contracts goes over the broker and comes out as it was.</summary>
[Collection(BrokerCollection.Name)]
public sealed class ControlMessageTests(BrokerForTests broker)
{
    // Not the options under test, so that the two sides are compared by an independent writer.
    private static readonly JsonSerializerOptions Plain = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    public static TheoryData<Type> MessageTypes =>
    [
        .. typeof(IRunMessage).Assembly.GetExportedTypes().Where(type =>
            type is { IsClass: true, Namespace: "SplitFrozen.Contracts.Messages" } && (type.IsAssignableTo(typeof(IRunMessage)) || type == typeof(DeviceAlive))),
    ];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(MessageTypes))]
    public Task Message_OfTheContracts_ArrivesAsItWasSent(Type type) =>
        (Task)GetType().GetMethod(nameof(RoundTripAsync), BindingFlags.NonPublic | BindingFlags.Instance)!.MakeGenericMethod(type).Invoke(this, [])!;

    [Fact]
    public void MessageTypes_AreFound() => Assert.True(MessageTypes.Count >= 20);

    [Fact]
    public async Task ClientRegistered_WithFourHundredThousandSamples_FitsIntoOneMessage()
    {
        var sent = Registration(400_000);

        var received = await SendAsync(sent);

        Assert.Equal(sent.Manifest, received.Manifest);
    }

    [Fact]
    public async Task PublishAsync_MessageBeyondTheBrokersLimit_SaysSoAndThePlaneGoesOn()
    {
        await using var plane = await ConnectAsync();
        var all = new Recorder(1);
        using var subscription = plane.Subscribe<Ping>(all.HandleAsync);

        var exception = await Assert.ThrowsAsync<ControlMessageTooLargeException>(() => plane.PublishAsync(Registration(500_000), Token).AsTask());
        await plane.PublishAsync(new Ping(1), Token);

        Assert.Contains("ClientRegistered", exception.Message, StringComparison.Ordinal);
        Assert.Equal(new[] { 1 }, await all.All.Within());
    }

    private static ClientRegistered Registration(int samples) => new(
        "run", "client-1", "instance", new string('a', 64), 3,
        [.. Enumerable.Range(0, samples).Select(i => new ManifestEntry(SampleId.Evaluation(i), 128, new ContentDigest(UInt128.MaxValue - (UInt128)i)))], null);

    private async Task RoundTripAsync<T>()
        where T : class
    {
        var made = 0;
        var sent = (T)Make(typeof(T), ref made);
        var received = await SendAsync(sent);
        Assert.Equal(JsonSerializer.Serialize(sent, Plain), JsonSerializer.Serialize(received, Plain));
    }

    private async Task<T> SendAsync<T>(T message)
        where T : class
    {
        await using var plane = await ConnectAsync();
        var received = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var subscription = plane.Subscribe<T>(
            (arrived, _) =>
            {
                received.TrySetResult(arrived);
                return default;
            },
            message is IAddressedMessage addressed ? [addressed.Address] : []);
        await plane.PublishAsync(message, Token);
        return await received.Task.Within();
    }

    private Task<MassTransitControlPlane> ConnectAsync() => MassTransitControlPlane.StartAsync(
        new ControlBusOptions { ConnectionString = broker.ConnectionString, ProcessName = "test" }, NullLoggerFactory.Instance, TimeProvider.System, Token);

    /// <summary>A value of a type with all its members set, each to something else and some of them awkward.</summary>
    private static object Make(Type type, ref int made)
    {
        made++;
        var plain = Type.GetTypeCode(Nullable.GetUnderlyingType(type) ?? type) switch
        {
            _ when type.IsEnum => Enum.GetValues(type).GetValue(made % Enum.GetValues(type).Length),
            TypeCode.String => $"text {made} \"quoted\" ünï + <&> \u2028 \\ \n",
            TypeCode.Boolean => made % 2 == 0,
            TypeCode.Int32 => int.MaxValue - made,
            TypeCode.Int64 => long.MaxValue - made,
            TypeCode.Double => new[] { double.NaN, 0.1, double.PositiveInfinity, double.Epsilon, -1 / 3.0 }[made % 5],
            _ => (object?)null,
        };
        if (plain is not null)
        {
            return plain;
        }

        if (type == typeof(TimeSpan))
        {
            return TimeSpan.FromTicks(123_456_789_012_345 + made);
        }

        if (type == typeof(UInt128))
        {
            return UInt128.MaxValue - (UInt128)made;
        }

        return type.IsArray || type.IsInterface ? MakeMany(type, ref made) : MakeRecord(type, ref made);
    }

    private static object MakeMany(Type type, ref int made)
    {
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IReadOnlyDictionary<,>))
        {
            var map = (IDictionary)Activator.CreateInstance(typeof(Dictionary<,>).MakeGenericType(type.GetGenericArguments()))!;
            for (var i = 0; i < 2; i++)
            {
                map.Add(Make(type.GetGenericArguments()[0], ref made), Make(type.GetGenericArguments()[1], ref made));
            }

            return map;
        }

        var element = type.IsArray ? type.GetElementType()! : type.GetGenericArguments().Single();
        var array = Array.CreateInstance(element, 2);
        array.SetValue(Make(element, ref made), 0);
        array.SetValue(Make(element, ref made), 1);
        return array;
    }

    private static object MakeRecord(Type type, ref int made)
    {
        var constructor = type.GetConstructors().OrderByDescending(candidate => candidate.GetParameters().Length).First();
        var arguments = new List<object>();
        foreach (var parameter in constructor.GetParameters())
        {
            arguments.Add(Make(parameter.ParameterType, ref made));
        }

        var record = constructor.Invoke([.. arguments]);
        foreach (var property in type.GetProperties().Where(property => arguments.Count == 0 && property.SetMethod is not null))
        {
            property.SetValue(record, Make(property.PropertyType, ref made));
        }

        return record;
    }
}
