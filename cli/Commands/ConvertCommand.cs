using System.CommandLine;

namespace SplitFrozen.Cli.Commands;

internal static class ConvertCommand { public static Command Create(CommandContext context) => new("convert", "x"); }
