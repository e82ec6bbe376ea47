using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using SplitFrozen.ServiceDefaults;
using SplitFrozen.Trainer.Hosting;
using SplitFrozen.Transport;

return await ServiceProcess.RunAsync(async () =>
{
    var builder = Host.CreateApplicationBuilder(HostExtensions.WithFixedSettings(args));
    builder.Configuration.AddCommandLine(args, TrainerHostOptions.Switches);
    builder.AddServiceDefaults("splitfrozen-trainer");
    await using var transport = await ServiceTransport.OpenAsync(builder, "trainer").ConfigureAwait(false);
    builder.AddTrainer();
    await builder.Build().RunAsync().ConfigureAwait(false);
}).ConfigureAwait(false);
