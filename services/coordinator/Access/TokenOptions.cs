using System.ComponentModel.DataAnnotations;
using SplitFrozen.Contracts.Api;

namespace SplitFrozen.Coordinator.Access;

/// <summary>A token of the HTTP interface, of which only the hash is known.</summary>
public sealed class TokenOptions
{
    private const int HashDigits = 64;

    /// <summary>Whose it is: for logs, and for whoever uses it.</summary>
    [Required]
    public string Name { get; set; } = "";

    /// <summary>What it allows.</summary>
    public ApiRole Role { get; set; }

    /// <summary>SHA-256 of the token in hex, as <c>splitfrozen token create</c> prints it.</summary>
    [Required]
    public string Sha256 { get; set; } = "";

    /// <summary>What is wrong with it; null where nothing is. The hash itself is not repeated.</summary>
    internal string? Fault => this switch
    {
        { Name: "" } => "has no Name",
        _ when !ApiToken.IsName(Name) => $"needs a Name of {ApiToken.NameRule}",
        _ when !Enum.IsDefined(Role) => "needs a Role: Read, Submit or Admin",
        _ when Sha256.Length != HashDigits || !Sha256.All(char.IsAsciiHexDigit) => "needs a Sha256 of 64 hexadecimal digits, as 'splitfrozen token create' prints it",
        _ => null,
    };
}
