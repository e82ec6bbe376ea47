using System.Net.Sockets;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>Tells failures that time may heal from those that need a person.</summary>
public static class RabbitMqFailures
{
    /// <summary>
    /// True for a lost or unreachable broker and for a queue that is not there yet; false for a refused login, missing
    /// permissions and a queue that exists with other settings.
    /// </summary>
    public static bool IsPassing(Exception exception) => exception switch
    {
        BrokerUnreachableException unreachable => !IsLoginRefused(unreachable),
        OperationInterruptedException interrupted => !IsDenied(interrupted),
        PublishException or IOException or SocketException or TimeoutException => true,
        _ => false,
    };

    /// <summary>True when the channel or connection under an operation is gone: the broker delivers again what was not settled.</summary>
    internal static bool IsClosed(Exception exception) => exception is OperationInterruptedException or ObjectDisposedException or IOException or SocketException;

    internal static bool HasCode(OperationInterruptedException exception, int code) => exception.ShutdownReason?.ReplyCode == code;

    private static bool IsDenied(OperationInterruptedException exception) =>
        HasCode(exception, Constants.AccessRefused) || HasCode(exception, Constants.PreconditionFailed) || HasCode(exception, Constants.NotAllowed);

    private static bool IsLoginRefused(Exception exception)
    {
        for (var inner = exception; inner is not null; inner = inner.InnerException)
        {
            if (inner is AuthenticationFailureException or PossibleAuthenticationFailureException
                || (inner is OperationInterruptedException interrupted && IsDenied(interrupted))
                || (inner is AggregateException aggregate && aggregate.InnerExceptions.Any(IsLoginRefused)))
            {
                return true;
            }
        }

        return false;
    }
}
