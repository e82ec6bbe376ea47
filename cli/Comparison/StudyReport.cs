using SplitFrozen.Comparison.Study;

namespace SplitFrozen.Cli.Comparison;

/// <summary>One section of the report of a study; another part of the comparison is added by another section.</summary>
internal interface IStudySection
{
    /// <summary>The section's blocks.</summary>
    IEnumerable<ReportBlock> Write(StudyResult study);
}

/// <summary>The report of a study: its sections, one after another.</summary>
internal static class StudyReport
{
    /// <summary>The sections in their order.</summary>
    /// <param name="command">The exact command.</param>
    public static IReadOnlyList<IStudySection> Sections(string command) =>
        [new SetupSection(command), new AccuracySection(), new IndependenceSection(), new WorkSection(), new FleetSection(), new LearningRateSection()];

    /// <summary>The whole report.</summary>
    public static ReportDocument Write(StudyResult study, IEnumerable<IStudySection> sections) => new([.. sections.SelectMany(section => section.Write(study))]);
}
