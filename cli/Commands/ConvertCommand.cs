using System.CommandLine;
using SplitFrozen.Models.Llama2c;

namespace SplitFrozen.Cli.Commands;

/// <summary><c>convert</c>: brings models of other formats into a Hugging Face folder.</summary>
internal static class ConvertCommand
{
    public static Command Create(CommandContext context)
    {
        var model = new Argument<string>("model") { Description = "The model in llama2.c's legacy format, for example stories260K.bin." };
        var tokenizer = new Option<string>("--tokenizer") { Description = "Its tokenizer, for example tok512.bin.", HelpName = "FILE", Required = true };
        var output = new Option<string>("--out") { Description = "Folder to make.", HelpName = "DIR", Required = true };
        var llama2c = new Command("llama2c", "Convert a llama2.c model with its tokenizer.") { model, tokenizer, output };
        llama2c.SetAction(parsed =>
        {
            var folder = parsed.GetRequiredValue(output);
            try
            {
                Llama2cConverter.Convert(parsed.GetRequiredValue(model), parsed.GetRequiredValue(tokenizer), folder);
            }
            catch (IOException exception)
            {
                throw new InputException(exception.Message, exception);
            }

            context.Output.WriteLine($"written: {folder}");
            return ExitCodes.Success;
        });
        return new Command("convert", "Convert a model of another format into a Hugging Face folder.") { llama2c };
    }
}
