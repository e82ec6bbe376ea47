using System.ComponentModel.DataAnnotations;
using System.Reflection;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using SplitFrozen.Coordinator.Hosting;
using SplitFrozen.DeviceWorker.Hosting;
using SplitFrozen.Trainer.Hosting;
using SplitFrozen.Transport;
using StackExchange.Redis;

namespace SplitFrozen.Deploy.Tests.Settings;

/// <summary>What a service makes of its environment: the names that it knows, and the values that it takes.</summary>
internal sealed class ServiceSettings
{
    private static readonly string[] s_plainNames =
    [
        "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME",
        "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_METRIC_EXPORT_INTERVAL",
        "ASPNETCORE_HTTP_PORTS", "ASPNETCORE_HTTPS_PORTS", "ASPNETCORE_URLS", "ASPNETCORE_FORWARDEDHEADERS_ENABLED", "ASPNETCORE_ENVIRONMENT", "DOTNET_ENVIRONMENT",
        "DOTNET_EnableDiagnostics", "DOTNET_gcServer", "Kestrel__Certificates__Default__Path", "Kestrel__Certificates__Default__KeyPath",
        "SPLITFROZEN_LIBTORCH", "XDG_CACHE_HOME", "OMP_NUM_THREADS", "OMP_WAIT_POLICY",
    ];

    private readonly Type[] _options;
    private readonly Func<IHostApplicationBuilder> _builder;

    private ServiceSettings(Type options, Func<IHostApplicationBuilder> builder) =>
        (_options, _builder) = ([typeof(TransportOptions), typeof(HealthOptions), options], builder);

    public static IReadOnlyDictionary<string, ServiceSettings> All { get; } = new Dictionary<string, ServiceSettings>(StringComparer.Ordinal)
    {
        ["coordinator"] = new(typeof(CoordinatorHostOptions), () => WebApplication.CreateSlimBuilder().AddCoordinator()),
        ["trainer"] = new(typeof(TrainerHostOptions), () => Host.CreateEmptyApplicationBuilder(null).AddTrainer()),
        ["device-worker"] = new(typeof(DeviceHostOptions), () => Host.CreateEmptyApplicationBuilder(null).AddDeviceWorker()),
    };

    /// <summary>How long it may take to stop.</summary>
    public TimeSpan ShutdownTimeout
    {
        get
        {
            using var services = _builder().Services.BuildServiceProvider();
            return services.GetRequiredService<IOptions<HostOptions>>().Value.ShutdownTimeout;
        }
    }

    /// <summary>The faults of an environment; <paramref name="parts"/> are names that only make up other values.</summary>
    public IEnumerable<string> Faults(IReadOnlyDictionary<string, string> environment, IReadOnlySet<string> parts)
    {
        var sections = _options.ToDictionary(SectionOf, StringComparer.Ordinal);
        foreach (var name in environment.Keys.Where(name => !parts.Contains(name) && !s_plainNames.Contains(name, StringComparer.Ordinal)))
        {
            var split = name.Split("__");
            if (split.Length < 2 || (split[0] is not ("Logging" or "Kestrel") && !sections.ContainsKey(split[0])))
            {
                yield return $"{name} is no setting of this service.";
            }
        }

        // A host reads its own variables without their prefix.
        var configuration = new ConfigurationBuilder()
            .AddInMemoryCollection(environment.Select(variable => KeyValuePair.Create(
                variable.Key.Replace("ASPNETCORE_", "", StringComparison.Ordinal).Replace("__", ":", StringComparison.Ordinal), (string?)variable.Value)))
            .Build();
        foreach (var fault in sections.SelectMany(section => Bind(configuration, section.Key, section.Value)).Concat(Started(configuration)).Concat(Addresses(environment)))
        {
            yield return fault;
        }
    }

    private static string SectionOf(Type options) => (string)options.GetField("Section", BindingFlags.Public | BindingFlags.Static)!.GetValue(null)!;

    private static IEnumerable<string> Bind(IConfiguration configuration, string section, Type type)
    {
        try
        {
            var bound = configuration.GetSection(section).Get(type, binder => binder.ErrorOnUnknownConfiguration = true) ?? Activator.CreateInstance(type)!;
            var faults = new List<ValidationResult>();
            Validator.TryValidateObject(bound, new ValidationContext(bound), faults, validateAllProperties: true);
            return faults.Select(fault => fault.ErrorMessage!);
        }
        catch (InvalidOperationException exception)
        {
            return [exception.InnerException is { } inner ? $"{exception.Message} {inner.Message}" : exception.Message];
        }
    }

    /// <summary>What the service itself says at its start, with the rules that are not on one property.</summary>
    private IEnumerable<string> Started(IConfiguration configuration)
    {
        var builder = _builder();
        builder.Configuration.AddConfiguration(configuration);
        using var services = builder.Services.AddSingleton<IConfiguration>(builder.Configuration).BuildServiceProvider();
        try
        {
            services.GetRequiredService<IStartupValidator>().Validate();
            return [];
        }
        catch (OptionsValidationException exception)
        {
            return exception.Failures;
        }
        catch (InvalidOperationException)
        {
            // A value that does not parse was told by the binding above.
            return [];
        }
    }

    private static IEnumerable<string> Addresses(IReadOnlyDictionary<string, string> environment)
    {
        if (!Uri.TryCreate(environment.GetValueOrDefault("Transport__Broker"), UriKind.Absolute, out var broker) || broker.Scheme is not ("amqp" or "amqps") || broker.UserInfo is not [_, ..])
        {
            yield return "Transport__Broker is not of the form amqp://user:password@host:port/.";
        }

        if (ConfigurationOptions.Parse(environment.GetValueOrDefault("Transport__Redis") ?? "") is { EndPoints.Count: 0 } or { Password: null or "" })
        {
            yield return "Transport__Redis names no server, or no password.";
        }

        if (environment.TryGetValue("OTEL_EXPORTER_OTLP_ENDPOINT", out var collector) && (!Uri.TryCreate(collector, UriKind.Absolute, out var uri) || !uri.Scheme.StartsWith("http", StringComparison.Ordinal)))
        {
            yield return "OTEL_EXPORTER_OTLP_ENDPOINT is no http address.";
        }
    }
}
