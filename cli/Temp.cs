using Microsoft.Extensions.Logging;
using SplitFrozen.ActivationCache;
using SplitFrozen.Cli.Events;
using SplitFrozen.Messaging;
using SplitFrozen.Models;

namespace SplitFrozen.Trainer
{
    internal sealed class TrainerService(TrainerOptions o, ModelFolder m, IControlPlane c, IStepSource s, IActivationCache a, TimeProvider t, ILogger<TrainerService> l)
    {
        public Task RunAsync(CancellationToken token) { _ = (o, m, c, s, a, t, l); return Task.CompletedTask; }
    }
}

namespace SplitFrozen.Cli.LocalRun
{
    internal static class AdapterExport
    {
        public static Task WriteAsync(PreparedRun run, RunFolder folder, IReadOnlyList<IRunObserver> observers, CommandContext context, CancellationToken token) { _ = (run, folder, observers, context, token); return Task.CompletedTask; }
        public static long TrainedParameters(RunFolder folder) { _ = folder; return 0; }
    }
}
