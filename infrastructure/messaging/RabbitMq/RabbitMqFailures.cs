using System.Net.Sockets;
using System.Security.Authentication;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace SplitFrozen.Messaging.RabbitMq;

/// <summary>The broker does not let this process in, or is not the one that it should be; time does not heal that. The message says what to do.</summary>
public sealed class BrokerRefusedException(string message, Exception inner) : Exception(message, inner);

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

    /// <summary>What is wrong with a login or a certificate, and what to do; null for any other failure to connect.</summary>
    internal static string? Refusal(Exception exception, ConnectionFactory factory)
    {
        var address = $"{factory.Endpoint.HostName}:{factory.Endpoint.Port}";
        return Causes(exception).Any(cause => cause is AuthenticationException { InnerException: null })
                ? $"The broker at {address} shows a certificate that is not believed. Give the certificates of the authority that signed it, and dial a name that it holds."
            : IsLoginRefused(exception)
                ? $"The broker at {address} refuses the login '{factory.UserName}'. Its password is wrong, it may not use virtual host '{factory.VirtualHost}', or it was revoked."
            : null;
    }

    internal static bool HasCode(OperationInterruptedException exception, int code) => exception.ShutdownReason?.ReplyCode == code;

    private static bool IsDenied(OperationInterruptedException exception) =>
        HasCode(exception, Constants.AccessRefused) || HasCode(exception, Constants.PreconditionFailed) || HasCode(exception, Constants.NotAllowed);

    private static bool IsLoginRefused(Exception exception) => Causes(exception).Any(cause =>
        cause is AuthenticationFailureException or PossibleAuthenticationFailureException || (cause is OperationInterruptedException interrupted && IsDenied(interrupted)));

    private static IEnumerable<Exception> Causes(Exception exception)
    {
        for (var cause = exception; cause is not null; cause = cause.InnerException)
        {
            yield return cause;
            foreach (var inner in cause is AggregateException aggregate ? aggregate.InnerExceptions.SelectMany(Causes) : [])
            {
                yield return inner;
            }
        }
    }
}
