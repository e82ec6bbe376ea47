using System.Runtime.InteropServices;

namespace SplitFrozen.Cli;

/// <summary>
/// Turns the first Ctrl-C or SIGTERM into a cancellation, so that the command can write a checkpoint. The second one is
/// not caught and ends the process at once.
/// </summary>
internal sealed class InterruptSignal : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _registrations;

    public InterruptSignal(TextWriter error) =>
        _registrations =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Handle(context, error)),
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Handle(context, error)),
        ];

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken Token => _source.Token;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var registration in _registrations)
        {
            registration.Dispose();
        }

        _source.Dispose();
    }

    private void Handle(PosixSignalContext context, TextWriter error)
    {
        if (_source.IsCancellationRequested)
        {
            return;
        }

        context.Cancel = true;
        error.WriteLine("Stopping after a checkpoint; press Ctrl-C again to stop at once.");
        _source.Cancel();
    }
}
