using Microsoft.Extensions.Logging;

namespace SplitFrozen.Cli.LocalRun;

/// <summary>The services' log on standard error, for SPLITFROZEN_DEBUG=1: standard output belongs to the display.</summary>
internal sealed class ErrorLog(TextWriter error) : ILoggerProvider, ILogger
{
    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName) => this;

    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            lock (error)
            {
                error.WriteLine($"{logLevel}: {formatter(state, exception)}{(exception is null ? "" : "\n" + exception)}");
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
