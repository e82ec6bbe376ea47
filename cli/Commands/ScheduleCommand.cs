using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using SplitFrozen.Cli.Display;
using SplitFrozen.Pipelining;

namespace SplitFrozen.Cli.Commands;

/// <summary><c>schedule</c>: prints and draws how the micro-batches of a step go through stages, without running anything.</summary>
internal sealed class ScheduleCommand
{
    private const int TextWidth = 96;

    private static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly Option<string> _kind = new("--kind") { Description = "gpipe, 1f1b or zb (zero-bubble, ZB-H1).", HelpName = "KIND", DefaultValueFactory = _ => "zb" };
    private readonly Option<int> _stages = new("--stages") { Description = "Stages that train.", HelpName = "P", DefaultValueFactory = _ => 4 };
    private readonly Option<int> _microBatches = new("--micro-batches") { Description = "Micro-batches of a step.", HelpName = "M", DefaultValueFactory = _ => 8 };
    private readonly Option<int> _devices = new("--devices") { Description = "Live devices before them, which run forward only.", HelpName = "N", DefaultValueFactory = _ => 0 };
    private readonly Option<int?> _limit = new("--memory-limit") { Description = "Most micro-batches that a stage may hold between F and W.", HelpName = "N" };
    private readonly Option<string> _costs = new("--costs") { Description = "Time of F, B and W for a micro-batch on a stage.", HelpName = "F,B,W", DefaultValueFactory = _ => "1,1,1" };
    private readonly Option<bool> _sends = new("--sends") { Description = "Print sends and receives too." };
    private readonly Option<string?> _svg = new("--svg") { Description = "Draw the timeline into this file.", HelpName = "FILE" };
    private readonly Option<bool> _json = CommonOptions.Json();
    private readonly CommandContext _context;

    private ScheduleCommand(CommandContext context) => _context = context;

    public static Command Create(CommandContext context)
    {
        var verb = new ScheduleCommand(context);
        var command = new Command("schedule", "Print and draw how the micro-batches of a step go through pipeline stages, without running anything.");
        Option[] options = [verb._kind, verb._stages, verb._microBatches, verb._devices, verb._limit, verb._costs, verb._sends, verb._svg, verb._json];
        Array.ForEach(options, command.Options.Add);
        command.SetAction((parsed, _) => verb.RunAsync(parsed));
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed)
    {
        var cost = Cost(parsed.GetRequiredValue(_costs));
        var schedule = Schedule(parsed);
        var timeline = PipelineTimeline.Of(schedule, [.. schedule.Stages.Select(_ => cost)]);
        if (parsed.GetValue(_svg) is { } file)
        {
            await File.WriteAllTextAsync(file, TimelinePlot.Draw(timeline)).ConfigureAwait(false);
        }

        var printed = parsed.GetValue(_sends) ? CommunicationPass.Insert(schedule) : schedule;
        await _context.Output.WriteLineAsync(parsed.GetValue(_json) ? Json(printed, timeline) : Text(printed, timeline, cost)).ConfigureAwait(false);
        return ExitCodes.Success;
    }

    private PipelineSchedule Schedule(ParseResult parsed)
    {
        var name = parsed.GetRequiredValue(_kind);
        var kind = PipelineSchedule.FindKind(name) ?? throw new InputException($"--kind {name}: expected gpipe, 1f1b or zb.");
        try
        {
            return PipelineSchedule.Create(new ScheduleRequest(kind, parsed.GetValue(_stages), parsed.GetValue(_microBatches))
            {
                ForwardStages = parsed.GetValue(_devices), MemoryLimit = parsed.GetValue(_limit),
            });
        }
        catch (ArgumentException exception)
        {
            throw new InputException(exception.Message.Split(" (Parameter", 2)[0], exception);
        }
    }

    private static StageCost Cost(string text)
    {
        double[] numbers = [.. text.Split(',').Select(part => double.TryParse(part, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) ? number : double.NaN)];
        return numbers is [var forward, var input, var weight] && double.IsFinite(forward + input + weight) && forward + input + weight > 0
            ? new StageCost(forward, input, weight)
            : throw new InputException($"--costs {text}: expected three numbers of at least 0, not all 0, for example 1,1,0.05.");
    }

    private static string Text(PipelineSchedule printed, PipelineTimeline timeline, StageCost cost)
    {
        var request = printed.Request;
        var width = Enumerable.Range(0, printed.Stages.Count).Max(stage => TimelinePlot.StageName(printed, stage).Length) + 2;
        string[] plan = [.. printed.Stages.Select((actions, stage) => TimelinePlot.StageName(printed, stage).PadRight(width) + string.Join(' ', actions))];
        string[] drawn = [.. timeline.Stages.Select((actions, stage) => TimelinePlot.StageName(printed, stage).PadRight(width) + Row(actions, timeline.Length))];
        var held = string.Join(", ", Enumerable.Range(request.ForwardStages, request.Stages).Select(printed.MostInFlight));
        return $"""
            {string.Join('\n', plan)}

            {string.Join('\n', drawn)}

            step            {Number(timeline.Length)}
            bubble          {Quantity.Percent(Math.Max(0, timeline.BubbleShare))} of the stages' time; by formula without limit and devices {Quantity.Percent(Bubble.Share(request.Kind, request.Stages, request.MicroBatches, cost))}
            held at a time  {held} micro-batches
            """;
    }

    /// <summary>A stage over time in letters: F, B, W, with a dot where it waits.</summary>
    private static string Row(IReadOnlyList<TimedAction> actions, double length) => string.Concat(Enumerable.Range(0, TextWidth).Select(column =>
    {
        var time = (column + 0.5) * length / TextWidth;
        var at = actions.FirstOrDefault(timed => timed.Start <= time && time < timed.End);
        return at.End <= at.Start ? "." : at.Action.Kind switch { ActionKind.Forward => "F", ActionKind.BackwardWeight => "W", _ => "B" };
    }));

    private static string Json(PipelineSchedule printed, PipelineTimeline timeline) => JsonSerializer.Serialize(
        new
        {
            StepTime = timeline.Length,
            timeline.BubbleShare,
            Stages = printed.Stages.Select((actions, stage) => new
            {
                Name = TimelinePlot.StageName(printed, stage),
                MostInFlight = printed.MostInFlight(stage),
                Actions = actions.Select(action => action.ToString()),
                Times = timeline.Stages[stage].Select(timed => new { Action = timed.Action.ToString(), timed.Start, timed.End }),
            }),
        },
        s_json);

    private static string Number(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);
}
