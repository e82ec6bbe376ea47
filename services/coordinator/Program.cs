using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Options;
using SplitFrozen.Coordinator.Hosting;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Transport;

try
{
    var builder = WebApplication.CreateBuilder(HostExtensions.WithFixedSettings(args));
    builder.AddServiceDefaults("splitfrozen-coordinator");
    builder.RequireSafeInterface();
    await using var transport = await ServiceTransport.OpenAsync(builder, "coordinator").ConfigureAwait(false);
    transport.AddDeviceGateway(builder);
    builder.AddCoordinator();

    var app = builder.Build();
    app.MapCoordinator();
    await app.RunAsync().ConfigureAwait(false);
    return 0;
}
catch (Exception exception) when (exception is ValidationException or OptionsValidationException)
{
    await Console.Error.WriteLineAsync($"error: {exception.Message}").ConfigureAwait(false);
    return 2;
}
