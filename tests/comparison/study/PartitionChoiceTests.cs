using SplitFrozen.Contracts.RunSpecification;

namespace SplitFrozen.Comparison.Study.Tests;

public sealed class PartitionChoiceTests
{
    [Theory]
    [InlineData("iid")]
    [InlineData("dirichlet:0.1")]
    [InlineData("classes:2")]
    [InlineData("zipf:1.2")]
    public void TryParse_EachKind_SetsItsParameterAlone(string text)
    {
        Assert.True(PartitionChoice.TryParse(text, out var choice));
        var clients = new ClientsSpec { Count = 8, Cuts = [1] };

        var dealt = choice!.Apply(clients);

        var expected = text switch
        {
            "iid" => clients,
            "dirichlet:0.1" => clients with { Partition = "dirichlet", Alpha = 0.1 },
            "classes:2" => clients with { Partition = "classes", ClassesPerClient = 2 },
            _ => clients with { Partition = "zipf", Exponent = 1.2 },
        };
        Assert.Equal(expected, dealt);
    }

    [Theory]
    [InlineData("")]
    [InlineData("iid:1")]
    [InlineData("dirichlet")]
    [InlineData("dirichlet:0")]
    [InlineData("dirichlet:-1")]
    [InlineData("classes:1.5")]
    [InlineData("zipf:1:2")]
    [InlineData("other:1")]
    public void TryParse_Anything_Else_IsRefused(string text) => Assert.False(PartitionChoice.TryParse(text, out _));
}
