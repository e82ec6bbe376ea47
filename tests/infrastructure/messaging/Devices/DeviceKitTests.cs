using System.ComponentModel.DataAnnotations;
using SplitFrozen.Messaging.Devices;
using SplitFrozen.TestServers;

namespace SplitFrozen.Messaging.Tests.Devices;

/// <summary>The file that an enrolled device starts with.</summary>
public sealed class DeviceKitTests : IDisposable
{
    private const string Secret = "s3cr3t-s3cr3t";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("splitfrozen-kit-");

    private string File1 => Path.Combine(_folder.FullName, "pi-3.kit.json");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Write_ThenRead_IsTheSameAndOnlyItsOwners()
    {
        using var authority = new TestAuthority();
        var kit = DeviceKit.Create("pi-3", "amqps://broker.example:5671/site%20a", Secret, File.ReadAllText(authority.AuthorityFile));
        kit.Write(File1);
        Assert.Equal(kit, DeviceKit.Read(File1));
        Assert.Equal($"amqps://pi-3:{Secret}@broker.example:5671/site%20a", kit.ConnectionString);
        Assert.DoesNotContain(Secret, kit.ToString(), StringComparison.Ordinal);
        Assert.Throws<IOException>(() => kit.Write(File1));
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(File1));
        }
    }

    [Theory]
    [InlineData("pi 3", "amqps://broker/", "1 to 64 letters")]
    [InlineData("pi.3", "amqps://broker/", "1 to 64 letters")]
    [InlineData("evaluation", "amqps://broker/", "name of a client that runs have themselves")]
    [InlineData("client-2", "amqps://broker/", "name of a client that runs have themselves")]
    [InlineData("pi-3", "http://broker/", "amqps://broker.example")]
    [InlineData("pi-3", "amqps://user:password@broker/", "without a login")]
    [InlineData("pi-3", "amqp://broker.example/", "everybody on the way")]
    public void Create_Wrong_SaysWhatAndWhatToDo(string device, string broker, string reason) =>
        Assert.Contains(reason, Assert.Throws<ValidationException>(() => DeviceKit.Create(device, broker, Secret, null)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("", "is no kit")]
    [InlineData("null", "is no kit")]
    [InlineData($$"""{"version":1,"device":"pi-3","broker":"amqps://broker/","password":"{{Secret}}","certificate_authority":null,"more":1}""", "is no kit")]
    [InlineData($$"""{"version":1,"device":"pi-3","broker":"amqps://broker/","password":"{{Secret}}"}""", "is no kit")]
    [InlineData($$"""{"version":2,"device":"pi-3","broker":"amqps://broker/","password":"{{Secret}}","certificate_authority":null}""", "version is 2")]
    [InlineData($$"""{"version":1,"device":"pi-3","broker":"amqps://broker/","password":"{{Secret}}","certificate_authority":"none"}""", "there is no certificate")]
    public void Read_Wrong_SaysWhereAndNeverThePassword(string content, string reason)
    {
        File.WriteAllText(File1, content);
        var exception = Assert.Throws<ValidationException>(() => DeviceKit.Read(File1));
        Assert.Contains(reason, exception.Message, StringComparison.Ordinal);
        Assert.Contains(File1, exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, exception.ToString(), StringComparison.Ordinal);
    }
}
