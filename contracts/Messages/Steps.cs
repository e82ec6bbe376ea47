using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Contracts.Messages;

/// <summary>What the trainer does with a step message.</summary>
public enum StepKind
{
    /// <summary>One optimiser update over the samples.</summary>
    Train,

    /// <summary>Forward only, over held-out samples; reports metrics.</summary>
    Evaluate,
}

/// <summary>A sample of a step, by reference: its hidden states lie in the cache.</summary>
/// <param name="Id">The sample.</param>
/// <param name="ClientId">The client that holds it.</param>
/// <param name="Cut">Depth of its hidden states; the trainer catches up from here to the boundary.</param>
/// <param name="CacheKey">Text form of its <see cref="ActivationKey"/>.</param>
public readonly record struct SampleReference(SampleId Id, string ClientId, int Cut, string CacheKey);

/// <summary>One unit of trainer work, by reference. Messages of a run are numbered without gaps and handled in that order.</summary>
/// <param name="RunId">The run.</param>
/// <param name="Instance">
/// The <see cref="TrainerReady"/> that it was composed for: a trainer passes over what waits for an earlier one, so that compositions
/// made from different positions never mix.
/// </param>
/// <param name="Sequence">Position among all step messages of the run, from 0, training and evaluation alike.</param>
/// <param name="SequenceCount">Number of step messages of the whole run; the last one has <c>Sequence = SequenceCount - 1</c>.</param>
/// <param name="Kind">Train or evaluate.</param>
/// <param name="Epoch">Epoch from 0; for an evaluation, the number of epochs trained before it.</param>
/// <param name="Step">Optimiser steps before this one, from 0.</param>
/// <param name="TotalSteps">Optimiser steps of the whole run; the learning-rate schedule needs it.</param>
/// <param name="Part">
/// An evaluation over many samples is split into <paramref name="Parts"/> consecutive messages, numbered from 0; their
/// metrics are reported together after the last. A training step is part 0 of 1.
/// </param>
/// <param name="Parts">Number of messages of this evaluation.</param>
/// <param name="EndsEpoch">True for the last training step of an epoch.</param>
/// <param name="Samples">The samples, in the order in which they are batched; none where all of them have failed.</param>
public sealed record StepMessage(
    string RunId, string Instance, long Sequence, long SequenceCount, StepKind Kind, int Epoch, int Step, int TotalSteps, int Part, int Parts,
    bool EndsEpoch, SampleReference[] Samples) : IRunMessage;

/// <summary>
/// The trainer announces itself and its position: at its start, and whenever the coordinator says that it is ready. The
/// coordinator then publishes the step messages from this position on.
/// </summary>
/// <param name="RunId">The run.</param>
/// <param name="Instance">Names this start from a checkpoint; what was published to another instance is published again.</param>
/// <param name="NextSequence">The first step message that the trainer has not handled.</param>
/// <param name="Epoch">Epoch of the last applied step; 0 before the first.</param>
/// <param name="AppliedInEpoch">Samples that were trained on in that epoch, all of them before <paramref name="NextSequence"/>.</param>
public sealed record TrainerReady(string RunId, string Instance, long NextSequence, int Epoch, SampleId[] AppliedInEpoch) : IRunMessage;

/// <summary>The trainer met a gap in the sequence and asks for the step messages from a position on once more.</summary>
public sealed record StepsRequested(string RunId, long FromSequence) : IRunMessage;

/// <summary>The trainer reports that a step's update is applied.</summary>
/// <param name="RunId">The run.</param>
/// <param name="Sequence">Sequence of the step message.</param>
/// <param name="Epoch">Epoch from 0.</param>
/// <param name="Step">The optimiser step that was applied, from 0.</param>
/// <param name="Loss">Mean loss of the step; NaN where it had no samples and changed nothing.</param>
/// <param name="LearningRate">Learning rate used.</param>
/// <param name="GradientNorm">Gradient norm before clipping.</param>
/// <param name="Samples">The samples that it trained on.</param>
/// <param name="Tokens">Tokens of those samples.</param>
/// <param name="ComputeTime">Time on the compute thread.</param>
/// <param name="WaitTime">Time that the trainer waited for this step's data.</param>
public sealed record StepApplied(
    string RunId, long Sequence, int Epoch, int Step, double Loss, double LearningRate, double GradientNorm,
    SampleId[] Samples, long Tokens, TimeSpan ComputeTime, TimeSpan WaitTime) : IRunMessage;

/// <summary>The trainer has handled one message of an evaluation.</summary>
/// <param name="RunId">The run.</param>
/// <param name="Sequence">Sequence of the message.</param>
/// <param name="EpochsTrained">Epochs trained before it.</param>
/// <param name="Part">Which message of the evaluation, from 0.</param>
/// <param name="Parts">Number of messages of the evaluation.</param>
/// <param name="Samples">Samples in this message.</param>
public sealed record EvaluationPartFinished(string RunId, long Sequence, int EpochsTrained, int Part, int Parts, int Samples) : IRunMessage;

/// <summary>The trainer reports the held-out metrics after the last message of an evaluation.</summary>
/// <param name="RunId">The run.</param>
/// <param name="Sequence">Sequence of the evaluation's last message.</param>
/// <param name="EpochsTrained">Epochs trained before it; 0 is the model before fine-tuning.</param>
/// <param name="Step">Optimiser steps before it.</param>
/// <param name="Metrics">Metrics by name, for example <c>accuracy</c>, <c>f1</c>, <c>loss</c>.</param>
/// <param name="Samples">Number of samples evaluated.</param>
public sealed record EvaluationFinished(
    string RunId, long Sequence, int EpochsTrained, int Step, IReadOnlyDictionary<string, double> Metrics, int Samples) : IRunMessage;

/// <summary>The trainer's state up to and including this sequence is durable; the coordinator may forget it.</summary>
public sealed record CheckpointWritten(string RunId, long Sequence, int Step) : IRunMessage;

/// <summary>The trainer found cache entries gone (evicted); the coordinator asks the devices again and repeats the step.</summary>
public sealed record ActivationsMissing(string RunId, long Sequence, SampleReference[] Samples) : IRunMessage;

/// <summary>The trainer has handled the last step message: the adapter is final.</summary>
public sealed record RunFinished(string RunId, int Steps) : IRunMessage;

/// <summary>The run cannot go on; the reason says what to do. Every service of the run stops.</summary>
public sealed record RunFailed(string RunId, string Reason) : IRunMessage;

/// <summary>
/// The run goes on without these samples: they never arrived, and its policy is to complete. They are in no later step of the run.
/// </summary>
/// <param name="RunId">The run.</param>
/// <param name="ClientId">The client that holds them.</param>
/// <param name="Samples">How many; 0 for a client that never told what it holds.</param>
/// <param name="FailedInRun">How many samples the run goes on without by now, over all clients.</param>
/// <param name="Reason">Why they did not come, to follow the client's name in a sentence.</param>
public sealed record SamplesFailed(string RunId, string ClientId, int Samples, int FailedInRun, string Reason) : IRunMessage;

/// <summary>Messages that the coordinator refused. Of many, the first, the second, the fourth, the eighth and so on are told, each for those since the one before.</summary>
/// <param name="RunId">The run.</param>
/// <param name="ClientId">Whose messages.</param>
/// <param name="Reason">Why the last of them was refused.</param>
/// <param name="Messages">How many this tells of, at least 1.</param>
public sealed record MessageRejected(string RunId, string ClientId, string Reason, long Messages) : IRunMessage;

/// <summary>What the coordinator took in: for per-client figures.</summary>
/// <param name="RunId">The run.</param>
/// <param name="ClientId">The client.</param>
/// <param name="Samples">Samples validated and cached, of one message or of several.</param>
/// <param name="Bytes">Bytes of the message bodies.</param>
public sealed record ActivationsIngested(string RunId, string ClientId, int Samples, long Bytes) : IRunMessage;

/// <summary>The coordinator starts a run's data flow: how much is cached already and how much devices must compute.</summary>
/// <param name="RunId">The run.</param>
/// <param name="TrainSamples">Training samples over all clients.</param>
/// <param name="EvaluationSamples">Held-out samples.</param>
/// <param name="CachedSamples">Samples whose activations were in the cache already.</param>
/// <param name="TotalSteps">Optimiser steps of the whole run.</param>
/// <param name="SamplesPerClient">Samples (training and held-out) by client id.</param>
public sealed record RunPlanned(
    string RunId, int TrainSamples, int EvaluationSamples, int CachedSamples, int TotalSteps,
    IReadOnlyDictionary<string, int> SamplesPerClient) : IRunMessage;
