using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using SplitFrozen.DeviceWorker.Hosting;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Transport;

var builder = Host.CreateApplicationBuilder(HostExtensions.WithFixedSettings(args));
builder.Configuration.AddCommandLine(args, DeviceHostOptions.Switches);
builder.AddServiceDefaults("splitfrozen-device-worker");
await using var transport = await ServiceTransport.OpenAsync(builder, "device").ConfigureAwait(false);
builder.AddDeviceWorker();
await builder.Build().RunAsync().ConfigureAwait(false);
