using System.Net.Http.Headers;
using SplitFrozen.Contracts.Api;

namespace SplitFrozen.Services.Tests.Support;

/// <summary>A token of each role, and the settings of a coordinator that knows them.</summary>
internal sealed class TestTokens
{
    private readonly Dictionary<ApiRole, string> _tokens = Enum.GetValues<ApiRole>().ToDictionary(role => role, _ => ApiToken.Create());

    public (string Key, string Value)[] Settings => [.. _tokens.SelectMany((token, index) => new[]
    {
        ($"Coordinator:Tokens:{index}:Name", $"the-{token.Key}"),
        ($"Coordinator:Tokens:{index}:Role", $"{token.Key}"),
        ($"Coordinator:Tokens:{index}:Sha256", Convert.ToHexString(ApiToken.Hash(token.Value))),
    })];

    public string Of(ApiRole role) => _tokens[role];

    public AuthenticationHeaderValue Header(ApiRole role) => new("Bearer", Of(role));
}
