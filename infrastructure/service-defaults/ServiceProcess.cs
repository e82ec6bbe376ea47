using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Options;

namespace SplitFrozen.ServiceDefaults;

/// <summary>A service's process, from its arguments to its exit code.</summary>
public static class ServiceProcess
{
    private const int WrongSettings = 2;

    /// <summary>Runs a service; a setting that is wrong ends it with one line that says which and why, and no stack trace.</summary>
    /// <param name="run">Builds the host and runs it to its end.</param>
    /// <returns>The exit code: 2 for a wrong setting, else what the process has set, 0 where it has not.</returns>
    public static async Task<int> RunAsync(Func<Task> run)
    {
        ArgumentNullException.ThrowIfNull(run);
        try
        {
            await run().ConfigureAwait(false);
            return Environment.ExitCode;
        }
        catch (Exception exception) when (exception is ValidationException or OptionsValidationException)
        {
            await Console.Error.WriteLineAsync($"error: {exception.Message}").ConfigureAwait(false);
            return WrongSettings;
        }
    }
}
