using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using SplitFrozen.Contracts.Messages;
using SplitFrozen.Contracts.Security;

namespace SplitFrozen.Messaging.Devices;

/// <summary>What an enrolled device needs to take part: who it is, where the broker is, whom to believe there, and its password. One small file.</summary>
/// <param name="Version">Version of the file's form: 1.</param>
/// <param name="Device">Name of the device, and of its login.</param>
/// <param name="Broker">Address without a login, for example <c>amqps://broker.example:5671/</c>.</param>
/// <param name="Password">The login's password.</param>
/// <param name="CertificateAuthority">Certificates in PEM that the broker's is checked against; null for the authorities of the device's machine.</param>
public sealed partial record DeviceKit(int Version, string Device, string Broker, string Password, string? CertificateAuthority)
{
    private const int CurrentVersion = 1;
    private const int MaximumBytes = 1 << 18;

    private static readonly JsonSerializerOptions s_json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
    };

    /// <summary>The address with the login.</summary>
    [JsonIgnore]
    public string ConnectionString => new UriBuilder(Broker) { UserName = Uri.EscapeDataString(Device), Password = Uri.EscapeDataString(Password) }.Uri.AbsoluteUri;

    /// <summary>Whom the device believes.</summary>
    [JsonIgnore]
    public CertificateTrust Trust => CertificateAuthority is { } pem ? CertificateTrust.OfPem(pem, "certificate_authority") : CertificateTrust.OfMachine;

    /// <summary>Makes a kit of the present form.</summary>
    /// <exception cref="ValidationException">A part of it is wrong.</exception>
    public static DeviceKit Create(string device, string broker, string password, string? certificateAuthority)
    {
        var kit = new DeviceKit(CurrentVersion, device, broker, password, certificateAuthority);
        return kit.Fault() is { } fault ? throw new ValidationException(fault) : kit;
    }

    /// <summary>Reads a kit.</summary>
    /// <exception cref="ValidationException">It is not there, or not a kit; the message never holds the password.</exception>
    public static DeviceKit Read(string path)
    {
        try
        {
            var file = new FileInfo(path);
            var kit = file.Length <= MaximumBytes ? JsonSerializer.Deserialize<DeviceKit>(File.ReadAllBytes(path), s_json) : null;
            return kit is null ? throw new ValidationException($"{path}: this is no kit of a device; 'splitfrozen device enroll' writes one.")
                : kit.Fault() is { } fault ? throw new ValidationException($"{path}: {fault}")
                : kit;
        }
        catch (JsonException exception)
        {
            throw new ValidationException($"{path}: this is no kit of a device, by {exception.Path ?? "its form"}; 'splitfrozen device enroll' writes one.", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ValidationException($"{path}: the kit cannot be read: {exception.Message}", exception);
        }
    }

    /// <summary>Writes the kit to a new file that only its owner can read.</summary>
    /// <exception cref="IOException">The file exists, or cannot be written.</exception>
    public void Write(string path)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        using var file = new FileStream(path, options);
        JsonSerializer.Serialize(file, this, s_json);
    }

    /// <summary>Without the password.</summary>
    public override string ToString() => $"{nameof(DeviceKit)} {{ Device = {Device}, Broker = {Broker} }}";

    /// <summary>
    /// Why a device cannot have a name; null when it can. There is no dot in it, since a login <c>a</c> may publish for clients named <c>a.*</c>.
    /// </summary>
    public static string? NameFault(string? device) =>
        device is null || !Names().IsMatch(device) ? "An enrolled device's name has 1 to 64 letters, digits, '-' or '_'."
        : ClientNames.IsOfSpec(device) ? $"'{device}' is the name of a client that runs have themselves; name the device in another way."
        : null;

    private string? Fault()
    {
        if (Version != CurrentVersion)
        {
            return $"version is {Version}; this program reads {CurrentVersion}.";
        }

        if (NameFault(Device) is { } name)
        {
            return name;
        }

        if (!Uri.TryCreate(Broker, UriKind.Absolute, out var address) || address.Scheme is not ("amqp" or "amqps") || address.Host.Length == 0 || address.UserInfo.Length > 0)
        {
            return "broker is an address without a login, for example amqps://broker.example:5671/.";
        }

        if (address.Scheme == "amqp" && !address.IsLoopback)
        {
            return $"broker is {Broker}, where everybody on the way could read what the device sends and its password; amqp:// goes to this machine alone. Use amqps://.";
        }

        if (Password.Length == 0)
        {
            return "password is empty.";
        }

        try
        {
            _ = Trust;
            return null;
        }
        catch (FormatException exception)
        {
            return exception.Message;
        }
    }

    [GeneratedRegex("^[A-Za-z0-9_-]{1,64}$", RegexOptions.ExplicitCapture)]
    private static partial Regex Names();
}
