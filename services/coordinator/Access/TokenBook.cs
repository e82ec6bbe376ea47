using System.Security.Cryptography;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Coordinator.Hosting;

namespace SplitFrozen.Coordinator.Access;

/// <summary>A token that is known.</summary>
internal sealed record KnownToken(string Name, ApiRole Role, byte[] Hash);

/// <summary>The tokens that are configured.</summary>
internal sealed class TokenBook(CoordinatorHostOptions options)
{
    private readonly KnownToken[] _tokens = [.. options.Tokens.Select(token => new KnownToken(token.Name, token.Role, Convert.FromHexString(token.Sha256)))];

    /// <summary>False where nobody needs a token.</summary>
    public bool IsNeeded => _tokens.Length > 0;

    /// <summary>The token of this text; null where none is. It takes as long for one that is nearly right as for any other.</summary>
    public KnownToken? Find(string token)
    {
        if (!ApiToken.IsWellFormed(token))
        {
            return null;
        }

        var hash = ApiToken.Hash(token);
        KnownToken? found = null;
        foreach (var known in _tokens)
        {
            // All are compared, so that the time does not tell which one it is either.
            found = CryptographicOperations.FixedTimeEquals(hash, known.Hash) ? known : found;
        }

        return found;
    }
}
