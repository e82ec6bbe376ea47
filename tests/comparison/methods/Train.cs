using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Comparison.Methods.Tests;

/// <summary>The methods, stopped with the test.</summary>
internal static class Train
{
    public static MethodOutcome Pooled(FineTuningProblem problem, int boundary, WireType roundedTo = WireType.Float32) =>
        Centralised.Train(problem, boundary, roundedTo, cancellationToken: TestContext.Current.CancellationToken);

    public static MethodOutcome SplitFrozen(FineTuningProblem problem, IReadOnlyList<ClientShare> clients, ActivationStore store) =>
        SplitFrozenMethod.Train(problem, clients, store, cancellationToken: TestContext.Current.CancellationToken);

    public static MethodOutcome Federated(FineTuningProblem problem, IReadOnlyList<ClientShare> clients, FedLoraOptions options) =>
        FedLora.Train(problem, clients, options, cancellationToken: TestContext.Current.CancellationToken);

    public static MethodOutcome Split(FineTuningProblem problem, IReadOnlyList<ClientShare> clients, SplitLoraOptions options) =>
        SplitLora.Train(problem, clients, options, cancellationToken: TestContext.Current.CancellationToken);
}
