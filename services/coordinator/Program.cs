using SplitFrozen.Coordinator.Hosting;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Transport;

return await ServiceProcess.RunAsync(async () =>
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
}).ConfigureAwait(false);
