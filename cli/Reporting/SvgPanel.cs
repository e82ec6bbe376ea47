using System.Globalization;
using System.Text;

namespace SplitFrozen.Cli.Reporting;

/// <summary>
/// One panel of a chart as SVG elements: axes with round ticks, lines, marked points. The chart is text, so that a machine
/// without fonts writes the same picture as any other; the viewer supplies the font.
/// </summary>
internal sealed class SvgPanel
{
    private const double Left = 64;
    private const double Right = 24;

    private readonly double _top;
    private readonly double _height;
    private readonly double _width;
    private readonly (double Low, double High) _x;
    private readonly (double Low, double High) _y;
    private readonly Func<double, string> _label;
    private readonly StringBuilder _elements = new();

    public SvgPanel(double top, double height, double width, (double Low, double High) x, (double Low, double High) y, Func<double, string> label)
    {
        (_top, _height, _width, _x, _label) = (top, height, width, Widened(x, 0), label);
        _y = Widened(y, 0.06);
    }

    /// <summary>Adds the frame, the ticks of both axes and the title.</summary>
    public void Axes(string title, string? xTitle)
    {
        var bottom = _top + _height;
        Add($"<text x='{Left}' y='{_top - 8}' font-weight='bold'>{Escape(title)}</text>");
        foreach (var tick in Ticks(_y))
        {
            Add($"<line x1='{Left}' x2='{_width - Right}' y1='{Y(tick):0.0}' y2='{Y(tick):0.0}' stroke='#e4e4e4'/>");
            Add($"<text x='{Left - 8}' y='{Y(tick) + 4:0.0}' text-anchor='end'>{Escape(_label(tick))}</text>");
        }

        foreach (var tick in Ticks(_x))
        {
            Add($"<line x1='{X(tick):0.0}' x2='{X(tick):0.0}' y1='{bottom}' y2='{bottom + 4}' stroke='#888'/>");
            Add($"<text x='{X(tick):0.0}' y='{bottom + 18}' text-anchor='middle'>{tick.ToString("0.###", CultureInfo.InvariantCulture)}</text>");
        }

        Add($"<path d='M{Left} {_top}V{bottom}H{_width - Right}' fill='none' stroke='#888'/>");
        if (xTitle is not null)
        {
            Add($"<text x='{(Left + _width - Right) / 2:0.0}' y='{bottom + 36}' text-anchor='middle'>{Escape(xTitle)}</text>");
        }
    }

    /// <summary>Adds a line through points in order.</summary>
    public void Line(IEnumerable<(double X, double Y)> points, string colour, double strokeWidth, double opacity = 1)
    {
        var path = new StringBuilder();
        foreach (var (x, y) in points.Where(point => double.IsFinite(point.Y)))
        {
            path.Append(CultureInfo.InvariantCulture, $"{(path.Length == 0 ? 'M' : 'L')}{X(x):0.0} {Y(y):0.0}");
        }

        Add($"<path d='{path}' fill='none' stroke='{colour}' stroke-width='{strokeWidth}' stroke-opacity='{opacity}' stroke-linejoin='round'/>");
    }

    /// <summary>Adds a dot with its value written beside it.</summary>
    public void Point(double x, double y, string colour)
    {
        var anchor = x >= _x.High && _x.High > _x.Low ? "end" : x <= _x.Low ? "start" : "middle";
        Add($"<circle cx='{X(x):0.0}' cy='{Y(y):0.0}' r='4' fill='{colour}'/>");
        Add($"<text x='{X(x):0.0}' y='{Y(y) - 8:0.0}' text-anchor='{anchor}'>{Escape(_label(y))}</text>");
    }

    /// <inheritdoc/>
    public override string ToString() => _elements.ToString();

    /// <summary>Round values (1, 2 or 5 times a power of ten) in the range, about five of them.</summary>
    public static IEnumerable<double> Ticks((double Low, double High) range)
    {
        var rough = (range.High - range.Low) / 5;
        var power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        var step = (rough / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 } * power;
        for (var k = Math.Ceiling(range.Low / step); k * step <= range.High + (step * 1e-9); k++)
        {
            yield return k * step;
        }
    }

    /// <summary>Text for use inside XML.</summary>
    public static string Escape(string text) => System.Security.SecurityElement.Escape(text);

    private static (double Low, double High) Widened((double Low, double High) range, double margin)
    {
        var spread = range.High - range.Low;
        return spread > 0 ? (range.Low - (spread * margin), range.High + (spread * margin * 2)) : (range.Low - 0.5, range.High + 0.5);
    }

    private double X(double x) => Left + ((x - _x.Low) / (_x.High - _x.Low) * (_width - Left - Right));

    private double Y(double y) => _top + _height - ((y - _y.Low) / (_y.High - _y.Low) * _height);

    private void Add(FormattableString element) => _elements.AppendLine(element.ToString(CultureInfo.InvariantCulture));
}
