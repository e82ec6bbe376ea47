using MassTransit;
using MassTransit.Configuration;
using MassTransit.RabbitMqTransport;
using RabbitMQ.Client;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Messaging.ControlBus;

/// <summary>What the control plane declares at the broker, beside the queues of its subscriptions.</summary>
internal static class ControlTopology
{
    private static readonly RabbitMqMessageNameFormatter s_names = new();

    /// <summary>Sets how messages are routed, and where those go that nobody could handle.</summary>
    public static void Configure(IRabbitMqBusFactoryConfigurator bus, ControlBusOptions options)
    {
        bus.PublishTopology.ConnectPublishTopologyConfigurationObserver(new Routing());

        // Subscriptions come and go with their own queues; a pair of error queues for each would pile up.
        bus.SendTopology.ErrorQueueNameFormatter = new OneName(options.ErrorQueue);
        bus.SendTopology.DeadLetterQueueNameFormatter = new OneName(options.ErrorQueue);
        bus.SendTopology.ConfigureErrorSettings = Bound;
        bus.SendTopology.ConfigureDeadLetterSettings = Bound;

        void Bound(IRabbitMqQueueConfigurator queue)
        {
            queue.Durable = true;
            queue.AutoDelete = false;
            queue.SetQueueArgument("x-expires", null!);
            queue.SetQueueArgument("x-max-length-bytes", options.ErrorQueueBytes);
            queue.SetQueueArgument("x-overflow", "drop-head");
        }
    }

    /// <summary>
    /// Sets the exchange of a message, the same for publishers and subscribers: addressed ones go only to the queues bound by
    /// their address. Durable for every type (the library makes it transient for a type that is not public): with an exchange
    /// that a restarted broker forgets, its bindings go, and messages are lost until each subscriber is back.
    /// </summary>
    public static void Route<T>(IRabbitMqExchangeConfigurator exchange)
        where T : class
    {
        exchange.ExchangeType = ExchangeKind(typeof(T));
        exchange.Durable = true;
        exchange.AutoDelete = false;
    }

    /// <summary>True for messages that go to one address.</summary>
    public static bool IsAddressed(Type message) => message.IsAssignableTo(typeof(IAddressedMessage));

    /// <summary>Kind of the exchange of a message.</summary>
    public static string ExchangeKind(Type message) => IsAddressed(message) ? ExchangeType.Direct : ExchangeType.Fanout;

    /// <summary>Name of the exchange of a message.</summary>
    public static string ExchangeName(Type message) => s_names.GetMessageName(message);

    private sealed class OneName(string name) : IErrorQueueNameFormatter, IDeadLetterQueueNameFormatter
    {
        public string FormatErrorQueueName(string queueName) => name;

        public string FormatDeadLetterQueueName(string queueName) => name;
    }

    private sealed class Routing : IPublishTopologyConfigurationObserver
    {
        public void MessageTopologyCreated<T>(IMessagePublishTopologyConfigurator<T> configuration)
            where T : class
        {
            if (typeof(T) == typeof(IRunMessage) || typeof(T) == typeof(IAddressedMessage))
            {
                // Interfaces say what messages have in common; nobody subscribes to them.
                configuration.Exclude = true;
            }
            else if (configuration is IRabbitMqMessagePublishTopologyConfigurator<T> exchange)
            {
                Route<T>(exchange);
            }
        }
    }
}
