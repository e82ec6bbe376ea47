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

/// <summary>The verbs that speak with a coordinator: <c>submit</c>, <c>watch</c>, <c>runs</c>, <c>cancel</c>, <c>resume</c>, <c>devices</c>, <c>download</c>.</summary>
internal static class RemoteCommands
{
    private const string AddressVariable = "SPLITFROZEN_COORDINATOR";
    private const string DefaultAddress = "http://127.0.0.1:8080";

    public static IEnumerable<Command> Create(CommandContext context) =>
    [
        Submit(context), Watch(context), Runs(context), Devices(context),
        Change(context, "cancel", "Stop a run, with a checkpoint.", (client, run, token) => client.CancelAsync(run, token)),
        Change(context, "resume", "Let a cancelled or failed run go on from its checkpoint.", (client, run, token) => client.ResumeAsync(run, token)),
        Download(context),
    ];

    private static Command Submit(CommandContext context)
    {
        var spec = new Argument<string>("spec") { Description = "The run spec, a YAML file; its paths are those of the trainer and the devices." };
        var set = CommonOptions.Set();
        var watch = new Option<bool>("--watch") { Description = "Watch the run until it ends." };
        var json = CommonOptions.Json("Print JSON and nothing else on standard output.");
        var address = Address();
        var command = new Command("submit", "Hand a run to a coordinator.") { spec, set, watch, json, address };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            // Whether files exist is for those to say who open them.
            var reading = SpecReader.ReadFile(parsed.GetRequiredValue(spec), parsed.GetValue(set) ?? [], context.Environment);
            var checkedSpec = reading.With(RunSpecValidator.Validate(reading.Spec, _ => true, _ => true)).Required();
            using var client = Client(context, parsed.GetValue(address));
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
        var address = Address();
        var command = new Command("watch", "Watch a run until it ends; Ctrl-C leaves the run alone.") { run, json, address };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var client = Client(context, parsed.GetValue(address));
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

    private static Command List<TItem>(
        CommandContext context, string name, string description, Func<CoordinatorClient, CancellationToken, Task<TItem[]>> fetch, string[] headers, Func<TItem, string[]> row)
    {
        var json = CommonOptions.Json();
        var address = Address();
        var command = new Command(name, description) { json, address };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var client = Client(context, parsed.GetValue(address));
            var items = await fetch(client, cancellationToken).ConfigureAwait(false);
            if (parsed.GetValue(json))
            {
                await context.Output.WriteLineAsync(JsonSerializer.Serialize(items, ClusterApi.Json)).ConfigureAwait(false);
                return ExitCodes.Success;
            }

            var table = new Table().Border(TableBorder.Simple).BorderColor(Color.Grey);
            foreach (var header in headers)
            {
                table.AddColumn(header);
            }

            foreach (var item in items)
            {
                table.AddRow([.. row(item).Select(cell => new Text(cell))]);
            }

            context.Console().Write(table);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Change(CommandContext context, string name, string description, Func<CoordinatorClient, string, CancellationToken, Task> change)
    {
        var run = Run();
        var address = Address();
        var command = new Command(name, description) { run, address };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var client = Client(context, parsed.GetValue(address));
            await change(client, parsed.GetRequiredValue(run), cancellationToken).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Download(CommandContext context)
    {
        var run = Run();
        var output = CommonOptions.NewFolder();
        var address = Address();
        var command = new Command("download", "Fetch the adapter of a finished run.") { run, output, address };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var folder = parsed.GetRequiredValue(output);
            CommonOptions.RequireNew(folder);

            using var client = Client(context, parsed.GetValue(address));
            var runId = parsed.GetRequiredValue(run);
            var detail = await client.RunAsync(runId, cancellationToken).ConfigureAwait(false);
            if (detail.Artifacts.Count == 0)
            {
                throw new InputException($"{runId}: there is nothing to fetch yet; the run is {detail.Summary.Status.ToString().ToLowerInvariant()}.");
            }

            // Everything is here before anything is written.
            var files = new List<(string Name, byte[] Content)>();
            foreach (var name in detail.Artifacts)
            {
                files.Add((Path.GetFileName(name), await client.ArtifactAsync(runId, name, cancellationToken).ConfigureAwait(false)));
            }

            Directory.CreateDirectory(folder);
            files.ForEach(file => File.WriteAllBytes(Path.Combine(folder, file.Name), file.Content));
            await context.Output.WriteLineAsync($"written: {folder} ({string.Join(", ", files.Select(file => file.Name))})").ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Argument<string> Run() => new("run") { Description = "The run's id, as submit printed it and runs lists it." };

    private static Option<string?> Address() => new("--coordinator")
    {
        Description = $"Address of the coordinator. Default: ${AddressVariable}, else {DefaultAddress}.", HelpName = "URL",
    };

    private static CoordinatorClient Client(CommandContext context, string? address) =>
        new(address ?? context.Environment(AddressVariable) ?? DefaultAddress, context.Time);

    private static string YesNo(bool value) => value ? "yes" : "no";

    private static string Moment(DateTimeOffset moment) => moment.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture) + " UTC";
}
