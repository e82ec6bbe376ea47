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
/// <param name="Sequence">Position among all step messages of the run, from 0, training and evaluation alike.</param>
/// <param name="Kind">Train or evaluate.</param>
/// <param name="Epoch">Epoch from 0; for an evaluation, the number of epochs trained before it.</param>
/// <param name="Step">Optimiser steps before this one, from 0.</param>
/// <param name="Samples">The samples, in the order in which they are batched.</param>
public sealed record StepMessage(string RunId, long Sequence, StepKind Kind, int Epoch, int Step, SampleReference[] Samples);

/// <summary>The trainer reports that a step's update is applied.</summary>
/// <param name="RunId">The run.</param>
/// <param name="Sequence">Sequence of the step message.</param>
/// <param name="Epoch">Epoch from 0.</param>
/// <param name="Step">The optimiser step that was applied, from 0.</param>
/// <param name="Loss">Mean loss of the step.</param>
/// <param name="LearningRate">Learning rate used.</param>
/// <param name="GradientNorm">Gradient norm before clipping.</param>
/// <param name="Samples">The samples that it trained on.</param>
/// <param name="Tokens">Tokens of those samples.</param>
/// <param name="ComputeTime">Time on the compute thread.</param>
/// <param name="WaitTime">Time that the trainer waited for this step's data.</param>
public sealed record StepApplied(
    string RunId, long Sequence, int Epoch, int Step, double Loss, double LearningRate, double GradientNorm,
    SampleId[] Samples, long Tokens, TimeSpan ComputeTime, TimeSpan WaitTime);

/// <summary>The trainer reports the held-out metrics after an evaluation message.</summary>
/// <param name="RunId">The run.</param>
/// <param name="Sequence">Sequence of the evaluation message.</param>
/// <param name="EpochsTrained">Epochs trained before it; 0 is the model before fine-tuning.</param>
/// <param name="Step">Optimiser steps before it.</param>
/// <param name="Metrics">Metrics by name, for example <c>accuracy</c>, <c>f1</c>, <c>loss</c>.</param>
/// <param name="Samples">Number of samples evaluated.</param>
public sealed record EvaluationFinished(
    string RunId, long Sequence, int EpochsTrained, int Step, IReadOnlyDictionary<string, double> Metrics, int Samples);

/// <summary>The trainer's state up to and including this sequence is durable; the coordinator may forget it.</summary>
public sealed record CheckpointWritten(string RunId, long Sequence, int Step);

/// <summary>The trainer found cache entries gone (evicted); the coordinator asks the devices again and repeats the step.</summary>
public sealed record ActivationsMissing(string RunId, long Sequence, SampleReference[] Samples);

/// <summary>The trainer has handled the last step message: the adapter is final.</summary>
public sealed record RunFinished(string RunId, int Steps);

/// <summary>A sample or message that the coordinator refused, with its reason.</summary>
public sealed record MessageRejected(string RunId, string ClientId, string Reason);

/// <summary>What the coordinator took in: for per-client figures.</summary>
/// <param name="RunId">The run.</param>
/// <param name="ClientId">The client.</param>
/// <param name="Samples">Samples validated and cached from one message.</param>
/// <param name="Bytes">Bytes of the message body.</param>
public sealed record ActivationsIngested(string RunId, string ClientId, int Samples, long Bytes);

/// <summary>The coordinator starts a run's data flow: how much is cached already and how much devices must compute.</summary>
/// <param name="RunId">The run.</param>
/// <param name="TrainSamples">Training samples over all clients.</param>
/// <param name="EvaluationSamples">Held-out samples.</param>
/// <param name="CachedSamples">Samples whose activations were in the cache already.</param>
/// <param name="TotalSteps">Optimiser steps of the whole run.</param>
/// <param name="SamplesPerClient">Samples (training and held-out) by client id.</param>
public sealed record RunPlanned(
    string RunId, int TrainSamples, int EvaluationSamples, int CachedSamples, int TotalSteps,
    IReadOnlyDictionary<string, int> SamplesPerClient);
