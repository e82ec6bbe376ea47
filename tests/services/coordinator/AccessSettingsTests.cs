using Microsoft.Extensions.Configuration;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Coordinator.Access;
using SplitFrozen.Coordinator.Hosting;

namespace SplitFrozen.Services.Tests.Coordinator;

/// <summary>Which settings of the interface a coordinator starts with.</summary>
public sealed class AccessSettingsTests
{
    private static readonly string s_hash = Convert.ToHexString(ApiToken.Hash("token"));

    [Theory]
    [InlineData("")]
    [InlineData("urls=http://127.0.0.1:8080")]
    [InlineData("urls=http://localhost:8080;http://[::1]:8080;http://127.8.0.1:1")]
    [InlineData("urls=http://unix:/tmp/coordinator.sock")]
    [InlineData("urls=http://127.0.0.1:8080,http_ports=8080")]
    [InlineData("Kestrel:Endpoints:Web:Url=http://127.0.0.1:8080,urls=http://*:8080")]
    public void NoTokens_OnLoopback_MayStart(string settings) => Assert.Null(new CoordinatorHostOptions().AccessFault(Settings(settings)));

    [Theory]
    [InlineData("urls=http://*:8080", "http://*:8080")]
    [InlineData("urls=http://+:8080", "http://+:8080")]
    [InlineData("urls=http://0.0.0.0:8080", "http://0.0.0.0:8080")]
    [InlineData("urls=http://[::]:8080", "http://[::]:8080")]
    [InlineData("urls=http://127.0.0.1:1;https://10.0.0.1:8080", "https://10.0.0.1:8080")]
    [InlineData("urls=http://example.org:8080", "http://example.org:8080")]
    [InlineData("http_ports=8080", "http://*:8080")]
    [InlineData("https_ports=8443", "https://*:8443")]
    [InlineData("Kestrel:Endpoints:Web:Url=https://*:8443,urls=http://127.0.0.1:8080", "https://*:8443")]
    public void NoTokens_WhereOthersReachIt_MayNotStartUnlessAllowed(string settings, string address)
    {
        var fault = new CoordinatorHostOptions().AccessFault(Settings(settings));
        Assert.Contains($"would serve everyone who reaches {address}.", fault, StringComparison.Ordinal);
        Assert.Contains("splitfrozen token create", fault, StringComparison.Ordinal);
        Assert.Contains("Coordinator__AllowAnonymous=true", fault, StringComparison.Ordinal);
        Assert.Null(new CoordinatorHostOptions { AllowAnonymous = true }.AccessFault(Settings(settings)));
        Assert.Null(With(new TokenOptions { Name = "a", Sha256 = s_hash }).AccessFault(Settings(settings)));
    }

    [Fact]
    public void Token_ThatCannotBe_IsNamedByItsSettingAndNotByItsHash()
    {
        Assert.Null(With(new() { Name = "a", Sha256 = s_hash }, new() { Name = "b", Role = ApiRole.Admin, Sha256 = s_hash.ToLowerInvariant() }).TokenFault());
        Assert.Contains("Coordinator__Tokens__1: it has no Name", With(new() { Name = "a", Sha256 = s_hash }, new() { Sha256 = s_hash }).TokenFault(), StringComparison.Ordinal);
        Assert.Contains("anonymous", With(new TokenOptions { Name = "anonymous", Sha256 = s_hash }).TokenFault(), StringComparison.Ordinal);
        Assert.Contains("letters", With(new TokenOptions { Name = "a\nb", Sha256 = s_hash }).TokenFault(), StringComparison.Ordinal);
        Assert.Contains("Role", With(new TokenOptions { Name = "a", Role = (ApiRole)9, Sha256 = s_hash }).TokenFault(), StringComparison.Ordinal);
        Assert.Contains("two are called 'a'", With(new() { Name = "a", Sha256 = s_hash }, new() { Name = "a", Sha256 = s_hash }).TokenFault(), StringComparison.Ordinal);
        var wrong = With(new TokenOptions { Name = "a", Sha256 = "sft_thetokenitself" }).TokenFault();
        Assert.Contains("64 hexadecimal digits", wrong, StringComparison.Ordinal);
        Assert.DoesNotContain("thetokenitself", wrong, StringComparison.Ordinal);
    }

    private static CoordinatorHostOptions With(params TokenOptions[] tokens)
    {
        var options = new CoordinatorHostOptions();
        foreach (var token in tokens)
        {
            options.Tokens.Add(token);
        }

        return options;
    }

    private static IConfiguration Settings(string settings) => new ConfigurationBuilder()
        .AddInMemoryCollection(settings.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(setting => KeyValuePair.Create(setting.Split('=')[0], (string?)setting.Split('=')[1])))
        .Build();
}
