using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Spectre.Console;
using SplitFrozen.Cli.Display;
using SplitFrozen.Cli.Remote;
using SplitFrozen.Cli.Specification;
using SplitFrozen.Contracts.Api;
using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Cli.Commands;

/// <summary>
/// The verbs that speak with a coordinator: <c>submit</c>, <c>watch</c>, <c>runs</c>, <c>cancel</c>, <c>resume</c>, <c>delete</c>, <c>devices</c>,
/// <c>download</c>, <c>dead-letters</c>.
/// </summary>
internal static class RemoteCommands
{
    public static IEnumerable<Command> Create(CommandContext context) =>
    [
        Submit(context), Watch(context), Runs(context), Devices(context),
        Change(context, "cancel", "Stop a run, with a checkpoint.", (client, run, token) => client.CancelAsync(run, token)),
        Change(context, "resume", "Let a cancelled or failed run go on from its checkpoint.", (client, run, token) => client.ResumeAsync(run, token)),
        Change(context, "delete", "Delete a run that has ended, with its events and its adapter.", (client, run, token) => client.DeleteAsync(run, token)),
        Download(context), DeadLetters(context),
    ];

    private static Command Submit(CommandContext context)
    {
        var spec = new Argument<string>("spec") { Description = "The run spec, a YAML file; its paths are those of the trainer and the devices." };
        var set = CommonOptions.Set();
        var watch = new Option<bool>("--watch") { Description = "Watch the run until it ends." };
        var json = CommonOptions.Json("Print JSON and nothing else on standard output.");
        var coordinator = new CoordinatorAccess(context);
        var command = coordinator.AddTo(new Command("submit", "Hand a run to a coordinator.") { spec, set, watch, json });
        command.SetAction(async (parsed, cancellationToken) =>
        {
            // Whether files exist is for those to say who open them.
            var reading = SpecReader.ReadFile(parsed.GetRequiredValue(spec), parsed.GetValue(set) ?? [], context.Environment);
            var checkedSpec = reading.With(RunSpecValidator.Validate(reading.Spec, _ => true, _ => true)).Required();
            using var client = coordinator.Client(parsed);
            var runId = await client.SubmitAsync(checkedSpec, cancellationToken).ConfigureAwait(false);
            if (parsed.GetValue(watch))
            {
                return await new RunWatch(context, client, parsed.GetValue(json)).WatchAsync(runId, cancellationToken).ConfigureAwait(false);
            }

            await context.Output.WriteLineAsync(parsed.GetValue(json) ? JsonSerializer.Serialize(new RunAccepted(runId), ClusterApi.Json) : runId).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Watch(CommandContext context)
    {
        var run = Run();
        var json = CommonOptions.Json("Print events as JSON, one per line, and nothing else on standard output.");
        var coordinator = new CoordinatorAccess(context);
        var command = coordinator.AddTo(new Command("watch", "Watch a run until it ends; Ctrl-C leaves the run alone.") { run, json });
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var client = coordinator.Client(parsed);
            return await new RunWatch(context, client, parsed.GetValue(json)).WatchAsync(parsed.GetRequiredValue(run), cancellationToken).ConfigureAwait(false);
        });
        return command;
    }

    private static Command Runs(CommandContext context) => List(
        context, "runs", "List the runs of a coordinator.", (client, token) => client.RunsAsync(token), ["run", "status", "step", "submitted", "note"],
        run => [run.RunId, run.Status.ToString().ToLowerInvariant(), run.TotalSteps == 0 ? "–" : $"{run.Step}/{run.TotalSteps}", Moment(run.Created), Note(run)]);

    private static string Note(RunSummary run) => run.Reason ?? (run.FailedSamples > 0 ? $"without {run.FailedSamples} samples that never arrived" : "");

    private static Command Devices(CommandContext context) => List(
        context, "devices", "List the device workers of a coordinator.", (client, token) => client.DevicesAsync(token),
        ["device", "alive", "last seen", "GFLOP/s", "memory", "uplink", "own data", "clients"],
        device =>
        [
            device.Device, YesNo(device.Alive), Moment(device.LastSeen), device.Profile.GigaflopsPerSecond.ToString("0.0", CultureInfo.InvariantCulture),
            Quantity.Bytes(device.Profile.MemoryBytes), Quantity.Bytes((long)device.Profile.UplinkBytesPerSecond) + "/s", YesNo(device.HasOwnData),
            string.Join(' ', device.Clients),
        ]);

    private static Command DeadLetters(CommandContext context)
    {
        var purge = new Option<bool>("--purge") { Description = "Delete all of them, and say how many there were." };
        var json = CommonOptions.Json();
        var coordinator = new CoordinatorAccess(context);
        var command = coordinator.AddTo(new Command("dead-letters", "List the newest messages that were refused, the newest first, with the reasons.") { purge, json });
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var client = coordinator.Client(parsed);
            if (parsed.GetValue(purge))
            {
                var purged = new DeadLettersPurged(await client.PurgeDeadLettersAsync(cancellationToken).ConfigureAwait(false));
                await context.Output.WriteLineAsync(parsed.GetValue(json) ? JsonSerializer.Serialize(purged, ClusterApi.Json) : $"deleted: {purged.Count} dead letters").ConfigureAwait(false);
                return ExitCodes.Success;
            }

            await ShowAsync(
                context, await client.DeadLettersAsync(cancellationToken).ConfigureAwait(false), parsed.GetValue(json), ["run", "client", "size", "reason"],
                letter => [letter.RunId, letter.ClientId, Quantity.Bytes(letter.Bytes), letter.Reason]).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command List<TItem>(
        CommandContext context, string name, string description, Func<CoordinatorClient, CancellationToken, Task<TItem[]>> fetch, string[] headers, Func<TItem, string[]> row)
    {
        var json = CommonOptions.Json();
        var coordinator = new CoordinatorAccess(context);
        var command = coordinator.AddTo(new Command(name, description) { json });
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var client = coordinator.Client(parsed);
            await ShowAsync(context, await fetch(client, cancellationToken).ConfigureAwait(false), parsed.GetValue(json), headers, row).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static async Task ShowAsync<TItem>(CommandContext context, TItem[] items, bool json, string[] headers, Func<TItem, string[]> row)
    {
        if (json)
        {
            await context.Output.WriteLineAsync(JsonSerializer.Serialize(items, ClusterApi.Json)).ConfigureAwait(false);
            return;
        }

        var table = new Table().Border(TableBorder.Simple).BorderColor(Color.Grey);
        foreach (var header in headers)
        {
            table.AddColumn(header);
        }

        foreach (var item in items)
        {
            table.AddRow([.. row(item).Select(cell => new Text(Printable(cell)))]);
        }

        context.Console().Write(table);
    }

    private static Command Change(CommandContext context, string name, string description, Func<CoordinatorClient, string, CancellationToken, Task> change)
    {
        var run = Run();
        var coordinator = new CoordinatorAccess(context);
        var command = coordinator.AddTo(new Command(name, description) { run });
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var client = coordinator.Client(parsed);
            await change(client, parsed.GetRequiredValue(run), cancellationToken).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Download(CommandContext context)
    {
        var run = Run();
        var output = CommonOptions.NewFolder();
        var coordinator = new CoordinatorAccess(context);
        var command = coordinator.AddTo(new Command("download", "Fetch the adapter of a finished run, and check that it is what the trainer stored.") { run, output });
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var folder = parsed.GetRequiredValue(output);
            CommonOptions.RequireNew(folder);

            using var client = coordinator.Client(parsed);
            var runId = parsed.GetRequiredValue(run);
            var detail = await client.RunAsync(runId, cancellationToken).ConfigureAwait(false);
            if (detail.Artifacts.Count == 0)
            {
                throw new InputException($"{runId}: there is nothing to fetch yet; the run is {detail.Summary.Status.ToString().ToLowerInvariant()}.");
            }

            // Everything is here before anything is written.
            var files = new List<(string Name, byte[] Content)>();
            foreach (var artifact in detail.Artifacts)
            {
                files.Add((Path.GetFileName(artifact.Name), await client.ArtifactAsync(runId, artifact, cancellationToken).ConfigureAwait(false)));
            }

            Directory.CreateDirectory(folder);
            files.ForEach(file => File.WriteAllBytes(Path.Combine(folder, file.Name), file.Content));
            await context.Output.WriteLineAsync($"written: {folder} ({string.Join(", ", files.Select(file => file.Name))})").ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Argument<string> Run() => new("run") { Description = "The run's id, as submit printed it and runs lists it." };

    /// <summary>Names and reasons may repeat what a stranger wrote, who must not steer the terminal.</summary>
    private static string Printable(string text) => string.Concat(text.Select(c => char.IsControl(c) ? '\uFFFD' : c));

    private static string YesNo(bool value) => value ? "yes" : "no";

    private static string Moment(DateTimeOffset moment) => moment.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture) + " UTC";
}
