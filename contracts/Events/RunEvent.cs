using System.Text.Json;
using System.Text.Json.Serialization;

namespace SplitFrozen.Contracts.Events;

/// <summary>
/// One line of <c>metrics.jsonl</c> and of <c>--json</c>: something that happened in a run. The field <c>event</c> names the kind.
/// </summary>
/// <param name="Time">When it was seen.</param>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "event")]
[JsonDerivedType(typeof(RunStartedEvent), "run_started")]
[JsonDerivedType(typeof(RunPlannedEvent), "run_planned")]
[JsonDerivedType(typeof(DeviceProgressEvent), "device_progress")]
[JsonDerivedType(typeof(ActivationsIngestedEvent), "activations_ingested")]
[JsonDerivedType(typeof(StepAppliedEvent), "step_applied")]
[JsonDerivedType(typeof(EvaluationEvent), "evaluation_finished")]
[JsonDerivedType(typeof(CheckpointEvent), "checkpoint_written")]
[JsonDerivedType(typeof(MessageRejectedEvent), "message_rejected")]
[JsonDerivedType(typeof(SamplesFailedEvent), "samples_failed")]
[JsonDerivedType(typeof(GenerationEvent), "generation_finished")]
[JsonDerivedType(typeof(RunEndedEvent), "run_ended")]
public abstract record RunEvent(DateTimeOffset Time)
{
    /// <summary>One line of JSON, without a line break.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, RunEventJson.Default.RunEvent);

    /// <summary>Reads a line written by <see cref="ToJson"/>; null for a line cut off by a kill.</summary>
    public static RunEvent? FromJson(string line)
    {
        try
        {
            return JsonSerializer.Deserialize(line, RunEventJson.Default.RunEvent);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <summary>A process started to work on the run; <paramref name="FromStep"/> is 0 for a fresh run.</summary>
public sealed record RunStartedEvent(DateTimeOffset Time, string Run, string Command, int FromStep) : RunEvent(Time);

/// <summary>The coordinator knows all samples.</summary>
public sealed record RunPlannedEvent(
    DateTimeOffset Time, int TrainSamples, int EvaluationSamples, int CachedSamples, int TotalSteps,
    IReadOnlyDictionary<string, int> SamplesPerClient) : RunEvent(Time);

/// <summary>A device worker computed and published some samples of a client.</summary>
public sealed record DeviceProgressEvent(
    DateTimeOffset Time, string Client, int Samples, long Tokens, long ForwardFlops, long Bytes, double ComputeSeconds) : RunEvent(Time);

/// <summary>The coordinator validated and cached some samples of a client.</summary>
public sealed record ActivationsIngestedEvent(DateTimeOffset Time, string Client, int Samples, long Bytes) : RunEvent(Time);

/// <summary>The trainer applied one optimiser step; <paramref name="Loss"/> is NaN where all of its samples had failed.</summary>
public sealed record StepAppliedEvent(
    DateTimeOffset Time, int Epoch, int Step, double Loss, double LearningRate, double GradientNorm,
    int Samples, long Tokens, double ComputeSeconds, double WaitSeconds) : RunEvent(Time);

/// <summary>The held-out split was evaluated.</summary>
public sealed record EvaluationEvent(
    DateTimeOffset Time, int EpochsTrained, int Step, IReadOnlyDictionary<string, double> Metrics, int Samples) : RunEvent(Time);

/// <summary>Everything up to this step is durable.</summary>
public sealed record CheckpointEvent(DateTimeOffset Time, long Sequence, int Step) : RunEvent(Time);

/// <summary>The coordinator refused messages, the last of them for this reason; their samples are asked for again.</summary>
public sealed record MessageRejectedEvent(DateTimeOffset Time, string Client, string Reason, long Messages) : RunEvent(Time);

/// <summary>The run goes on without these samples of a client, which never arrived; 0 for a client that never told what it holds.</summary>
public sealed record SamplesFailedEvent(DateTimeOffset Time, string Client, int Samples, int FailedInRun, string Reason) : RunEvent(Time);

/// <summary>Held-out questions were answered by greedy generation.</summary>
public sealed record GenerationEvent(DateTimeOffset Time, string Stage, int Answered, int Correct, double ExactMatch) : RunEvent(Time);

/// <summary>The process stopped working on the run: <c>finished</c>, <c>interrupted</c> or <c>failed</c>.</summary>
public sealed record RunEndedEvent(DateTimeOffset Time, string Status, double WallSeconds, string? Reason) : RunEvent(Time);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(RunEvent))]
internal sealed partial class RunEventJson : JsonSerializerContext;
