using System.CommandLine;
using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using SplitFrozen.Cli.Remote;
using SplitFrozen.Contracts.Security;
using SplitFrozen.Messaging.Devices;

namespace SplitFrozen.Cli.Commands;

/// <summary><c>device</c>: gives devices a login of their own at the broker, and takes it away.</summary>
internal static class DeviceCommand
{
    private const string LoginVariable = "SPLITFROZEN_BROKER_ADMIN";

    public static Command Create(CommandContext context) => new("device", "Give a device a login of its own at the broker, or take it away.")
    {
        Enroll(context), Revoke(context), List(context),
    };

    private static Command Enroll(CommandContext context)
    {
        var device = Device();
        var broker = new Option<string>("--broker") { Description = "Address of the broker as the device reaches it, over TLS, without a login.", HelpName = "amqps://HOST:5671/", Required = true };
        var output = new Option<string>("--out") { Description = "The kit to write, a new file. It holds the device's password.", HelpName = "FILE", Required = true };
        var management = new ManagementOptions(context);
        var command = new Command("enroll", "Make a device's login at the broker, and write the kit that the device starts with.") { device, broker, output };
        management.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var (name, path) = (parsed.GetRequiredValue(device), parsed.GetRequiredValue(output));
            if (File.Exists(path))
            {
                throw new InputException($"--out {path}: it exists already; name a new file.");
            }

            // Everything that can be wrong with the kit is found before the broker knows of the device.
            var address = parsed.GetRequiredValue(broker);
            var trust = management.Trust(parsed);
            var host = VirtualHost(Kit(name, address, "-", trust.Pem));
            using var http = management.Client(parsed, trust);
            var enrollment = new DeviceEnrollment(http, host);
            var kit = Kit(name, address, await enrollment.EnrollAsync(name, cancellationToken).ConfigureAwait(false), trust.Pem);
            try
            {
                kit.Write(path);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                await enrollment.RevokeAsync(name, CancellationToken.None).ConfigureAwait(false);
                throw new InputException($"--out {path}: {exception.Message}", exception);
            }

            await context.Output.WriteLineAsync(
                $"written: {path}\nOn the device: device-worker --kit {Path.GetFileName(path)} --data FILE").ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Revoke(CommandContext context)
    {
        var device = Device();
        var host = Host();
        var management = new ManagementOptions(context);
        var command = new Command("revoke", "Take a device's login away: its connections are closed, and its kit no longer works.") { device, host };
        management.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var http = management.Client(parsed, management.Trust(parsed));
            await new DeviceEnrollment(http, parsed.GetRequiredValue(host)).RevokeAsync(parsed.GetRequiredValue(device), cancellationToken).ConfigureAwait(false);
            await context.Output.WriteLineAsync($"revoked: {parsed.GetRequiredValue(device)}").ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command List(CommandContext context)
    {
        var json = CommonOptions.Json();
        var management = new ManagementOptions(context);
        var command = new Command("list", "List the devices that have a login.") { json };
        management.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var http = management.Client(parsed, management.Trust(parsed));
            var devices = await new DeviceEnrollment(http, "/").ListAsync(cancellationToken).ConfigureAwait(false);
            await context.Output.WriteLineAsync(
                parsed.GetValue(json) ? JsonSerializer.Serialize(devices) : devices.Count == 0 ? "no device is enrolled" : string.Join('\n', devices)).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Argument<string> Device() => new("device") { Description = "The device's name: 1 to 64 letters, digits, '-' or '_'. In a run it is the name of its client." };

    private static Option<string> Host() => new("--virtual-host") { Description = "The system's virtual host at the broker.", HelpName = "NAME", DefaultValueFactory = _ => "/" };

    private static string VirtualHost(DeviceKit kit) => new Uri(kit.Broker).AbsolutePath is { Length: > 1 } path ? Uri.UnescapeDataString(path[1..]) : "/";

    private static DeviceKit Kit(string device, string broker, string password, string? authority)
    {
        try
        {
            return DeviceKit.Create(device, broker, password, authority);
        }
        catch (ValidationException exception)
        {
            throw new InputException(exception.Message, exception);
        }
    }

    /// <summary>How the broker's management is reached.</summary>
    private sealed class ManagementOptions(CommandContext context)
    {
        private readonly Option<string> _address = new("--management")
        {
            Description = $"Address of the broker's management. The login of an administrator there is taken from ${LoginVariable}, as user:password.",
            HelpName = "https://HOST:15671", Required = true,
        };

        private readonly AuthorityOption _authority = new(context);

        public void AddTo(Command command)
        {
            command.Add(_address);
            _authority.AddTo(command);
        }

        public CertificateTrust Trust(ParseResult parsed) => _authority.Trust(parsed);

        public HttpClient Client(ParseResult parsed, CertificateTrust trust)
        {
            var login = context.Environment(LoginVariable) ?? throw new InputException($"Set {LoginVariable} to user:password of an administrator of the broker.");
            var handler = new SocketsHttpHandler { AllowAutoRedirect = false, SslOptions = new() { CertificateChainPolicy = trust.ChainPolicy } };
            return DeviceEnrollment.Client(parsed.GetRequiredValue(_address), login, handler);
        }
    }
}
