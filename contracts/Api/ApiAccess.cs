using System.Security.Cryptography;
using System.Text;

namespace SplitFrozen.Contracts.Api;

/// <summary>What the holder of a token may do; each role includes those before it.</summary>
public enum ApiRole
{
    /// <summary>Sees runs, devices and adapters.</summary>
    Read,

    /// <summary>Also hands runs in, stops them, and lets them go on.</summary>
    Submit,

    /// <summary>Also deletes runs that have ended, and reads and deletes dead letters.</summary>
    Admin,
}

/// <summary>
/// Tokens of the HTTP interface. A token is random and long, so that its plain SHA-256 is all that a coordinator needs to know of it.
/// </summary>
public static class ApiToken
{
    /// <summary>Most characters of a token.</summary>
    public const int MaximumLength = 256;

    /// <summary>The name that stands for whoever has no token.</summary>
    public const string Anonymous = "anonymous";

    /// <summary>What <see cref="IsName"/> asks for, in words.</summary>
    public const string NameRule = "1 to 64 letters, digits, '-', '_' and '.', and not 'anonymous', which is whoever has no token";

    private const int MaximumNameLength = 64;
    private const string Prefix = "sft_";
    private const int RandomBytes = 32;

    /// <summary>A new token: 256 random bits after a prefix by which it is recognised where it should not be.</summary>
    public static string Create() =>
        Prefix + Convert.ToBase64String(RandomNumberGenerator.GetBytes(RandomBytes)).TrimEnd('=').Replace('+', '-').Replace('/', '_');

    /// <summary>SHA-256 of a token's text.</summary>
    public static byte[] Hash(string token) => SHA256.HashData(Encoding.UTF8.GetBytes(token));

    /// <summary>Whether a token may have this name: <see cref="NameRule"/>.</summary>
    public static bool IsName(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name.Length is > 0 and <= MaximumNameLength && name != Anonymous && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
    }

    /// <summary>Whether the text may be a token: 1 to <see cref="MaximumLength"/> of the characters that a bearer token has.</summary>
    public static bool IsWellFormed(string token)
    {
        ArgumentNullException.ThrowIfNull(token);
        return token.Length is > 0 and <= MaximumLength && token.All(c => char.IsAsciiLetterOrDigit(c) || "-._~+/=".Contains(c, StringComparison.Ordinal));
    }
}

/// <summary>A token that is handed in to sign in at the dashboard.</summary>
public sealed record SignIn(string Token)
{
    /// <summary>The name alone: what is written to a log must not hold the token.</summary>
    public override string ToString() => nameof(SignIn);
}

/// <summary>Whose token a request carries.</summary>
/// <param name="Name">The token's name; <c>anonymous</c> without tokens.</param>
/// <param name="Role">What it allows.</param>
/// <param name="IsAnonymous">Whether the coordinator asks nobody for a token.</param>
public sealed record SessionInfo(string Name, ApiRole Role, bool IsAnonymous);
