using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using SplitFrozen.DeviceWorker.Hosting;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Transport;

return await ServiceProcess.RunAsync(async () =>
{
    var builder = Host.CreateApplicationBuilder(HostExtensions.WithFixedSettings(args));
    builder.Configuration.AddCommandLine(args, new Dictionary<string, string>([.. DeviceHostOptions.Switches, .. DeviceTransport.Switches]));
    builder.AddServiceDefaults("splitfrozen-device-worker");
    await using IAsyncDisposable transport = DeviceTransport.IsWanted(builder.Configuration)
        ? DeviceTransport.Open(builder)
        : await ServiceTransport.OpenAsync(builder, "device").ConfigureAwait(false);
    builder.AddDeviceWorker();
    await builder.Build().RunAsync().ConfigureAwait(false);
}).ConfigureAwait(false);
