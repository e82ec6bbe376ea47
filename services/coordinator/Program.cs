using SplitFrozen.Coordinator.Hosting;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Transport;

var builder = WebApplication.CreateBuilder(HostExtensions.WithFixedSettings(args));
builder.AddServiceDefaults("splitfrozen-coordinator");
await using var transport = await ServiceTransport.OpenAsync(builder, "coordinator").ConfigureAwait(false);
transport.AddDeviceGateway(builder);
builder.AddCoordinator();

var app = builder.Build();
app.MapCoordinator();
await app.RunAsync().ConfigureAwait(false);
