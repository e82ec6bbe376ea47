using Microsoft.Extensions.DependencyInjection.Extensions;
using SplitFrozen.Messaging;

namespace SplitFrozen.Coordinator.Hosting;

/// <summary>Where the coordinator gets its ends of the control and data plane from.</summary>
public static class Transport
{
    /// <summary>
    /// Registers <see cref="IControlPlane"/>, <see cref="IActivationSource"/> and <see cref="IStepPublisher"/>, but for those that are registered
    /// already.
    /// </summary>
    public static IServiceCollection AddTransport(this IServiceCollection services, IConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        services.TryAddSingleton<IControlPlane>(_ => throw NotConfigured(nameof(IControlPlane)));
        services.TryAddSingleton<IActivationSource>(_ => throw NotConfigured(nameof(IActivationSource)));
        services.TryAddSingleton<IStepPublisher>(_ => throw NotConfigured(nameof(IStepPublisher)));
        return services;
    }

    private static InvalidOperationException NotConfigured(string port) =>
        new($"No transport is configured: nothing is registered for {port}. Register the planes of a message broker before the coordinator starts.");
}
