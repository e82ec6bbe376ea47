using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using SplitFrozen.Trainer.Stages;

namespace SplitFrozen.Trainer.Hosting;

/// <summary>What a trainer process is made of, besides transport and defaults.</summary>
public static class TrainerRegistration
{
    /// <summary>Adds the trainer; its settings come from the section <c>Trainer</c> and are checked at the start.</summary>
    public static IHostApplicationBuilder AddTrainer(this IHostApplicationBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        builder.Services.AddOptions<TrainerHostOptions>().BindConfiguration(TrainerHostOptions.Section).ValidateDataAnnotations().ValidateOnStart();

        // A step in hand is finished and a checkpoint written before the process ends.
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromMinutes(2));
        builder.Services.AddSingleton<TrainerServices>();
        builder.Services.AddSingleton<TrainerRunFactory>();
        builder.Services.AddHostedService<BackgroundService>(services => services.GetRequiredService<IOptions<TrainerHostOptions>>().Value.Role.Leads
            ? ActivatorUtilities.CreateInstance<TrainerHost>(services)
            : ActivatorUtilities.CreateInstance<StageHost>(services));
        return builder;
    }
}
