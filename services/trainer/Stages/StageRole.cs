using System.Globalization;

namespace SplitFrozen.Trainer.Stages;

/// <summary>A trainer's place among those that share a run's blocks; all counts from 0.</summary>
/// <param name="Stage">Its stage.</param>
/// <param name="Stages">How many stages there are.</param>
/// <param name="Replica">Its replica.</param>
/// <param name="Replicas">How many replicas there are.</param>
internal sealed record StageRole(int Stage, int Stages, int Replica, int Replicas)
{
    /// <summary>Whether it takes runs up and drives the others.</summary>
    public bool Leads => Stage == 0 && Replica == 0;

    /// <summary>Whether there are others at all.</summary>
    public bool IsAlone => Stages == 1 && Replicas == 1;

    /// <summary>Its name in a session, counted from 1 as people do: <c>replica.stage</c>.</summary>
    public string Member => Name(Replica, Stage);

    /// <summary>All members but the leader.</summary>
    public IEnumerable<string> Others => Enumerable.Range(0, Replicas).SelectMany(replica => Enumerable.Range(0, Stages).Select(stage => Name(replica, stage))).Skip(1);

    /// <summary>Reads <c>1/3</c> forms.</summary>
    /// <param name="stage">Stage of stages.</param>
    /// <param name="replica">Replica of replicas.</param>
    /// <exception cref="TrainerException">A number is out of range.</exception>
    public static StageRole Parse(string stage, string replica)
    {
        var (index, count) = Split("--stage", stage);
        var (copy, copies) = Split("--replica", replica);
        return new StageRole(index, count, copy, copies);
    }

    /// <summary>Name of a member.</summary>
    public static string Name(int replica, int stage) => string.Create(CultureInfo.InvariantCulture, $"{replica + 1}.{stage + 1}");

    private static (int Index, int Count) Split(string option, string text)
    {
        var parts = text.Split('/');
        return parts.Length == 2 && Number(parts[0]) is { } index && Number(parts[1]) is { } count && index <= count
            ? (index - 1, count)
            : throw new TrainerException($"{option} {text}: expected a place of how many, such as 1/3.");
    }

    private static int? Number(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number is >= 1 and <= 64 ? number : null;
}
