using System.Globalization;
using System.Text;
using SplitFrozen.Cli.Display;
using SplitFrozen.Cli.Events;
using SplitFrozen.Contracts.Wire;

namespace SplitFrozen.Cli.Reporting;

/// <summary>Writes <c>report.md</c>: what ran, what it reached, what it cost.</summary>
internal static class RunReport
{
    /// <summary>The Markdown text.</summary>
    public static string Write(RunFacts facts, RunProgressView run)
    {
        var text = new StringBuilder();
        text.Append($"# Run {facts.Spec.Name}\n\n```sh\n{facts.Command}\n```\n\n");
        WhatRan(text, facts);
        HeldOut(text, facts, run);
        Stages(text, facts, run);
        Clients(text, run);
        Cost(text, facts, run);
        return text.ToString();
    }

    private static void WhatRan(StringBuilder text, RunFacts facts)
    {
        var spec = facts.Spec;
        Table(text, ["what", "value"],
        [
            ["model", $"{spec.Model.Path}, fingerprint `{facts.ModelFingerprint[..16]}`"],
            ["frozen boundary", $"{spec.Model.Boundary} of {facts.Blocks} blocks; cuts {(spec.Clients.Cuts.Count == 0 ? "at the boundary" : string.Join(", ", spec.Clients.Cuts))}"],
            ["adapter", $"LoRA rank {spec.Lora.Rank}, alpha {Number(spec.Lora.Alpha)}, on {string.Join(", ", spec.Lora.Targets)}; {Quantity.Count(facts.TrainableParameters)} trained parameters"],
            ["task", $"{spec.Task.Kind}: {facts.TrainSamples} training and {facts.EvaluationSamples} held-out samples{(facts.LeftOut > 0 ? $", {facts.LeftOut} left out as too long" : "")}"],
            ["clients", $"{spec.Clients.Count}, partition {spec.Clients.Partition}"],
            ["training", $"{spec.Training.Epochs} epochs, batch {spec.Training.BatchSize}, learning rate {Number(spec.Training.LearningRate)} ({spec.Training.Schedule}), order {spec.Training.Order}, seed {spec.Seed}"],
            ["activations", $"{spec.Device.WireType.Name()}, {spec.Device.MicroBatch} samples per device forward"],
        ]);
    }

    private static void HeldOut(StringBuilder text, RunFacts facts, RunProgressView run)
    {
        text.Append("## Held-out split\n\n");
        if (run.Evaluations.Count == 0)
        {
            text.Append("Not evaluated.\n\n");
            return;
        }

        var metrics = run.Evaluations.Values.SelectMany(e => e.Metrics.Keys).Distinct().OrderBy(m => m == facts.Metric ? 0 : 1).ToArray();
        Table(text, ["evaluated", "steps", .. metrics],
            run.Evaluations.Values.Select(e => (IReadOnlyList<string>)
            [
                PlainDisplay.EvaluationName(e.EpochsTrained), e.Step.ToString(CultureInfo.InvariantCulture),
                .. metrics.Select(m => e.Metrics.TryGetValue(m, out var value) ? Quantity.Metric(m, value) : ""),
            ]));
        if (facts.MajorityShare is { } share)
        {
            text.Append($"Always answering the commonest class would reach an accuracy of {Quantity.Percent(share)}.\n\n");
        }

        foreach (var generation in run.Generations.Values)
        {
            text.Append($"Greedy generation {generation.Stage}: {generation.Correct} of {generation.Answered} answers exact ({Quantity.Metric("exact_match", generation.ExactMatch)}).\n\n");
        }

        text.Append("![loss and held-out metric](plot.svg)\n\n");
    }

    /// <summary>The trainer draws it at the end of each epoch.</summary>
    private static void Stages(StringBuilder text, RunFacts facts, RunProgressView run)
    {
        if (facts.Spec.Training.Stages > 1 && run.Steps.Count > 0)
        {
            text.Append("## Stages\n\nWhat each stage did in the last step of the epoch trained last; a gap is a wait.\n\n![stages over time](checkpoints/timeline.svg)\n\n");
        }
    }

    private static void Clients(StringBuilder text, RunProgressView run)
    {
        text.Append("## Clients\n\nSamples count training and held-out ones; what the cache knew already was not computed again.\n\n");
        foreach (var failure in run.Failures)
        {
            text.Append($"The run {PlainDisplay.FailureText(failure)}.\n\n");
        }

        Table(text, ["client", "samples", "computed", "tokens", "device compute", "bytes sent", "compute time"],
            run.Clients.Values.Select(client => (IReadOnlyList<string>)
            [
                client.Client, Number(client.Samples), Number(client.Computed), Number(client.Tokens), Quantity.Flops(client.ForwardFlops),
                Quantity.Bytes(client.Bytes), Quantity.Time(TimeSpan.FromSeconds(client.ComputeSeconds)),
            ]));
    }

    private static void Cost(StringBuilder text, RunFacts facts, RunProgressView run)
    {
        var totals = RunTotals.Of(run);
        var samples = facts.TrainSamples + facts.EvaluationSamples;
        text.Append("## Cost\n\n");
        Table(text, ["what", "value"],
        [
            ["device forward compute", $"{Quantity.Flops(totals.ForwardFlops)} ({Number(totals.ForwardFlops)} FLOPs)"],
            ["bytes from devices", $"{Quantity.Bytes(totals.Bytes)} ({Number(totals.Bytes)})"],
            ["samples computed on devices", Number(totals.Computed)],
            ["cache hits when the run was planned", $"{run.Progress.CachedAtFirst ?? 0} of {samples} samples"],
            ["wall time", $"{Quantity.Time(TimeSpan.FromSeconds(totals.WallSeconds))}{(run.Progress.Starts > 1 ? $" over {run.Progress.Starts} starts" : "")}"],
            ["device compute time", Quantity.Time(TimeSpan.FromSeconds(totals.DeviceSeconds))],
            ["trainer compute time", $"{Quantity.Time(TimeSpan.FromSeconds(totals.TrainerSeconds))} for {Quantity.Count(totals.TrainedTokens)} tokens"],
            ["trainer waiting for data", Quantity.Time(TimeSpan.FromSeconds(totals.StarvedSeconds))],
            ["the rest (evaluation, starting, writing)", Quantity.Time(TimeSpan.FromSeconds(Math.Max(0, totals.WallSeconds - totals.TrainerSeconds - totals.StarvedSeconds)))],
            ["refused messages", Number(run.Progress.RefusedMessages)],
        ]);
        text.Append("Devices compute beside the trainer, so their time is not added to the others.\n");
    }

    private static void Table(StringBuilder text, IReadOnlyList<string> header, IEnumerable<IReadOnlyList<string>> rows)
    {
        text.Append("| ").AppendJoin(" | ", header).Append(" |\n|").Insert(text.Length, " --- |", header.Count).Append('\n');
        foreach (var row in rows)
        {
            text.Append("| ").AppendJoin(" | ", row.Select(cell => cell.Replace("|", "\\|", StringComparison.Ordinal))).Append(" |\n");
        }

        text.Append('\n');
    }

    private static string Number(double number) => number.ToString("#,0.########", CultureInfo.InvariantCulture);

    private static string Number(long number) => number.ToString("#,0", CultureInfo.InvariantCulture);
}
