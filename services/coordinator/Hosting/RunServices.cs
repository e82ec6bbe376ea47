using SplitFrozen.ActivationCache;
using SplitFrozen.Coordinator.Devices;
using SplitFrozen.Messaging;

namespace SplitFrozen.Coordinator.Hosting;

/// <summary>What the work on a run needs besides the run.</summary>
internal sealed record RunServices(
    CoordinatorHostOptions Options,
    IControlPlane Control,
    IActivationSource Source,
    IStepPublisher Steps,
    IRunQueues Queues,
    IActivationCache Cache,
    IRunLedger Ledger,
    RedisRunStore Store,
    DeviceRegistry Devices,
    TimeProvider Time,
    ILoggerFactory Loggers);
