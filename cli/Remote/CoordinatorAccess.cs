using System.CommandLine;
using SplitFrozen.Contracts.Api;

namespace SplitFrozen.Cli.Remote;

/// <summary>The options that every verb has which speaks with a coordinator: where it is, the token for it, and whose certificates to trust.</summary>
internal sealed class CoordinatorAccess(CommandContext context)
{
    private const string AddressVariable = "SPLITFROZEN_COORDINATOR";
    private const string TokenVariable = "SPLITFROZEN_TOKEN";
    private const string DefaultAddress = "http://127.0.0.1:8080";

    private readonly Option<string?> _address = new("--coordinator")
    {
        Description = $"Address of the coordinator. Default: ${AddressVariable}, else {DefaultAddress}.", HelpName = "URL",
    };

    private readonly Option<string?> _token = new("--token")
    {
        Description = $"Token for the coordinator. Default: ${TokenVariable}, where others on this machine do not see it.", HelpName = "TOKEN",
    };

    private readonly AuthorityOption _authority = new(context);

    /// <summary>Adds the options to a verb.</summary>
    public Command AddTo(Command command)
    {
        command.Add(_address);
        command.Add(_token);
        _authority.AddTo(command);
        return command;
    }

    /// <summary>A client as the options say.</summary>
    /// <exception cref="InputException">One of them cannot be, or the token would travel in the clear.</exception>
    public CoordinatorClient Client(ParseResult parsed)
    {
        var address = parsed.GetValue(_address) ?? context.Environment(AddressVariable) ?? DefaultAddress;
        if (!Uri.TryCreate(address, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
        {
            throw new InputException($"--coordinator {address}: this is no http or https address; for example {DefaultAddress}.");
        }

        return new CoordinatorClient(uri, Token(parsed, uri), _authority.Trust(parsed), context.Time);
    }

    private string? Token(ParseResult parsed, Uri address)
    {
        var token = (parsed.GetValue(_token) ?? context.Environment(TokenVariable))?.Trim();
        if (string.IsNullOrEmpty(token))
        {
            return null;
        }

        if (!ApiToken.IsWellFormed(token))
        {
            throw new InputException($"--token, {TokenVariable}: this is no token of 'splitfrozen token create'; it has other characters, or too many.");
        }

        return address.Scheme == Uri.UriSchemeHttps || address.IsLoopback
            ? token
            : throw new InputException($"--coordinator {address}: the token is not sent over plain http to another machine, where others could read it on its way. Use https, or a tunnel to 127.0.0.1.");
    }
}
