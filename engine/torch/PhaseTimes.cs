using System.Diagnostics;

namespace SplitFrozen.Torch;

/// <summary>
/// Where the time of a computation goes, by phase: every moment between <see cref="Start"/> and <see cref="Stop"/> belongs to the innermost phase that was
/// entered on this thread, or to <see cref="Rest"/>, so phases add up to the whole. Without a measurement on its thread, entering a phase costs nothing.
/// </summary>
public sealed class PhaseTimes
{
    /// <summary>The time outside all phases.</summary>
    public const string Rest = "rest";

    [ThreadStatic]
    private static PhaseTimes? s_current;

    private readonly Dictionary<string, TimeSpan> _spent = [];
    private string _phase = Rest;
    private long _since = Stopwatch.GetTimestamp();

    private PhaseTimes()
    {
    }

    /// <summary>Time spent in every phase that was entered, and in <see cref="Rest"/>.</summary>
    public IReadOnlyDictionary<string, TimeSpan> Spent => _spent;

    /// <summary>Begins to measure what the calling thread does.</summary>
    /// <exception cref="InvalidOperationException">It is measured already.</exception>
    public static PhaseTimes Start() => s_current is null
        ? s_current = new PhaseTimes()
        : throw new InvalidOperationException("The phases of this thread are measured already.");

    /// <summary>Enters a phase until the result is disposed; the phase around it goes on then.</summary>
    public static Phase In(string phase) => new(s_current, phase);

    /// <summary>Ends the measurement, on the thread on which it began.</summary>
    public void Stop()
    {
        _ = Switch(Rest);
        s_current = null;
    }

    private string Switch(string phase)
    {
        var now = Stopwatch.GetTimestamp();
        _spent[_phase] = _spent.GetValueOrDefault(_phase) + Stopwatch.GetElapsedTime(_since, now);
        (_since, var left, _phase) = (now, _phase, phase);
        return left;
    }

    /// <summary>A phase that was entered; disposing leaves it.</summary>
    public readonly ref struct Phase
    {
        private readonly PhaseTimes? _times;
        private readonly string _around;

        internal Phase(PhaseTimes? times, string phase) => (_times, _around) = (times, times?.Switch(phase) ?? "");

        /// <summary>Goes back to the phase around it.</summary>
        public void Dispose() => _times?.Switch(_around);
    }
}
