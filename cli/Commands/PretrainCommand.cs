using System.CommandLine;

namespace SplitFrozen.Cli.Commands;

internal static class PretrainCommand { public static Command Create(CommandContext context) => new("pretrain", "x"); }
