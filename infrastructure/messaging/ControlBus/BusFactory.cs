using MassTransit;

namespace SplitFrozen.Messaging.ControlBus;

/// <summary>Makes the bus library's bus as the control plane needs it.</summary>
internal static class BusFactory
{
    private const int ContinuationHeartbeats = 6;

    /// <summary>A bus that is not started.</summary>
    public static IBusControl Create(ControlBusOptions options)
    {
        var broker = new Uri(options.ConnectionString);
        return Bus.Factory.CreateUsingRabbitMq(configuration =>
        {
            configuration.Host(broker, host =>
            {
                host.ConnectionName($"{options.ProcessName} (control)");
                host.Heartbeat(options.Heartbeat);
                if (broker.Scheme == "amqps")
                {
                    host.UseSsl(tls =>
                    {
                        tls.ServerName = broker.Host;
                        tls.CertificateValidationCallback = options.Trust.Believes;
                    });
                }

                // A dead connection must be found by its heartbeat, from which the library recovers, before an operation on it gives up by
                // itself: that reaches the library as a cancellation, and it takes an endpoint which was just connecting for stopped.
                host.ContinuationTimeout(ContinuationHeartbeats * options.Heartbeat);
            });
            configuration.ClearSerialization();

            // The library keeps one set of options for all its JSON.
            configuration.ConfigureJsonSerializerOptions(_ => ControlMessageJson.Options);
            configuration.AddSerializer(new BoundedJsonSerializer(options.MessageBytes));
            configuration.AddDeserializer(new BoundedJsonSerializer(options.MessageBytes), isDefault: true);
            ControlTopology.Configure(configuration, options);
        });
    }
}
