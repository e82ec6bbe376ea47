using System.CommandLine;
using SplitFrozen.Contracts.Security;

namespace SplitFrozen.Cli.Remote;

/// <summary><c>--ca</c>: whose certificates a verb trusts for TLS.</summary>
internal sealed class AuthorityOption(CommandContext context)
{
    private const string Variable = "SPLITFROZEN_CA";

    private readonly Option<string?> _file = new("--ca")
    {
        Description = $"PEM file of the certificate authority to trust for TLS, and no other. Default: ${Variable}, else the system's.", HelpName = "FILE",
    };

    /// <summary>Adds the option to a verb.</summary>
    public void AddTo(Command command) => command.Add(_file);

    /// <summary>Whom to trust.</summary>
    /// <exception cref="InputException">The file holds no certificate.</exception>
    public CertificateTrust Trust(ParseResult parsed)
    {
        try
        {
            return CertificateTrust.OfFile(parsed.GetValue(_file) ?? context.Environment(Variable));
        }
        catch (FormatException exception)
        {
            throw new InputException($"--ca {exception.Message}", exception);
        }
    }
}
