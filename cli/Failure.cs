using SplitFrozen.ActivationCache;
using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Coordinator;
using SplitFrozen.Messaging.Devices;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Tokenizers;
using SplitFrozen.Torch;
using SplitFrozen.Training.Checkpoints;
using SplitFrozen.Training.Export;
using SplitFrozen.Training.Pretraining;

namespace SplitFrozen.Cli;

/// <summary>Turns an exception into one clear message on standard error and an exit code.</summary>
internal static class Failure
{
    /// <summary>Writes the message, with the stack trace only where SPLITFROZEN_DEBUG=1.</summary>
    public static int Report(Exception exception, CommandContext context)
    {
        while (exception is AggregateException { InnerExceptions: [var only] })
        {
            exception = only;
        }

        var code = CodeOf(exception, context);
        IReadOnlyList<string> lines = exception is InputException input ? input.Faults : exception.Message.Split('\n');
        if (code == ExitCodes.Unexpected && exception is not LibtorchException)
        {
            lines = [$"{exception.GetType().Name}: {exception.Message}", "This is unexpected; run again with SPLITFROZEN_DEBUG=1 for the stack trace."];
        }

        foreach (var line in code == ExitCodes.Interrupted ? [] : lines)
        {
            context.Error.WriteLine($"error: {line}");
        }

        if (context.Environment("SPLITFROZEN_DEBUG") == "1")
        {
            context.Error.WriteLine(exception);
        }

        return code;
    }

    private static int CodeOf(Exception exception, CommandContext context) => exception switch
    {
        OperationCanceledException when context.Interrupted.IsCancellationRequested => ExitCodes.Interrupted,
        InputException or DataException or ModelFormatException or TokenizerFormatException or SafetensorsException
            or CheckpointException or CorpusException or PretrainException or AdapterException or CacheException
            or EnrollmentException => ExitCodes.BadInput,
        RunFailedException or CoordinatorException => ExitCodes.RunFailed,
        _ => ExitCodes.Unexpected,
    };
}
