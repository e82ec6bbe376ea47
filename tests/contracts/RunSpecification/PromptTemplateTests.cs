using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Contracts.Tests.RunSpecification;

public sealed class PromptTemplateTests
{
    [Theory]
    [InlineData("Q: {question}\nA:", "Q: <question>\nA:", "question")]
    [InlineData("{a}{b}{a}", "<a><b><a>", "a,b")]
    [InlineData("{{{a}}}", "{<a>}", "a")]
    [InlineData("{{a}}", "{a}", "")]
    [InlineData("", "", "")]
    [InlineData("{#1 String}", "<#1 String>", "#1 String")]
    public void Render_Fields_AreReplacedByTheirColumns(string text, string expected, string columns)
    {
        Assert.True(PromptTemplate.TryParse(text, out var template, out _));
        Assert.Equal(expected, template.Render(column => $"<{column}>"));
        Assert.Equal(columns, string.Join(',', template.Columns));
    }

    [Theory]
    [InlineData("a {b", 3)]
    [InlineData("a} b", 2)]
    [InlineData("{}", 1)]
    [InlineData("{a{b}", 1)]
    [InlineData("{{a}", 4)]
    public void TryParse_StrayBrace_SaysWhere(string text, int character)
    {
        Assert.False(PromptTemplate.TryParse(text, out _, out var reason));
        Assert.Contains($"at character {character} ", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Render_BracesInAValue_StayAsTheyAre()
    {
        Assert.True(PromptTemplate.TryParse("{a}", out var template, out _));
        Assert.Equal("{b} }}", template.Render(_ => "{b} }}"));
    }
}
