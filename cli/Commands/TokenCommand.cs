using System.CommandLine;
using System.Text.Json;
using SplitFrozen.Contracts.Api;

namespace SplitFrozen.Cli.Commands;

/// <summary><c>token create</c>: a token of the coordinator's HTTP interface, and what the coordinator has to know of it.</summary>
internal static class TokenCommand
{
    public static Command Create(CommandContext context) => new("token", "Make tokens for the coordinator's HTTP interface.") { Make(context) };

    private static Command Make(CommandContext context)
    {
        var name = new Option<string>("--name") { Description = "Whose it is: letters, digits, '-', '_' and '.'. The coordinator's log names it so.", HelpName = "NAME", Required = true };
        var role = new Option<string>("--role") { Description = "read: see runs and fetch adapters; submit: also hand in, cancel and resume; admin: also delete, and dead letters.", HelpName = "ROLE", Required = true };
        role.AcceptOnlyFromAmong([.. Enum.GetNames<ApiRole>().Select(word => word.ToLowerInvariant())]);
        var number = new Option<int>("--number") { Description = "Its place in the coordinator's settings, from 0; each token has another one.", HelpName = "N" };
        var json = CommonOptions.Json();
        var command = new Command("create", "Make a token. It is printed once and kept nowhere.") { name, role, number, json };
        command.SetAction(async (parsed, _) =>
        {
            var owner = parsed.GetRequiredValue(name);
            if (!ApiToken.IsName(owner))
            {
                throw new InputException($"--name: expected {ApiToken.NameRule}.");
            }

            var token = ApiToken.Create();
            var prefix = $"Coordinator__Tokens__{parsed.GetValue(number)}__";
            var settings = new Dictionary<string, string>(StringComparer.Ordinal)
            {
                [prefix + "Name"] = owner, [prefix + "Role"] = parsed.GetRequiredValue(role), [prefix + "Sha256"] = Convert.ToHexStringLower(ApiToken.Hash(token)),
            };
            await (parsed.GetValue(json)
                ? context.Output.WriteLineAsync(JsonSerializer.Serialize(new { token, settings }))
                : WriteAsync(context.Output, token, settings)).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static async Task WriteAsync(TextWriter output, string token, Dictionary<string, string> settings)
    {
        await output.WriteLineAsync($"Token, shown only now; for the user, as SPLITFROZEN_TOKEN:\n{token}\n\nSettings of the coordinator:").ConfigureAwait(false);
        foreach (var (setting, value) in settings)
        {
            await output.WriteLineAsync($"{setting}={value}").ConfigureAwait(false);
        }
    }
}
