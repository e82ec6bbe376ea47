using SplitFrozen.Trainer;

namespace SplitFrozen.Services.Tests.Trainer;

public sealed class ByteBudgetTests
{
    [Fact]
    public async Task TakeAsync_ShareDoesNotFit_WaitsUntilOneIsReturned()
    {
        var budget = new ByteBudget(10);
        await budget.TakeAsync(6, CancellationToken.None);
        var second = budget.TakeAsync(5, CancellationToken.None);
        Assert.False(second.IsCompleted);
        budget.Return(6);
        await second.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task TakeAsync_ShareLargerThanAll_IsAdmittedAlone()
    {
        var budget = new ByteBudget(10);
        await budget.TakeAsync(50, CancellationToken.None);
        Assert.False(budget.TakeAsync(1, CancellationToken.None).IsCompleted);
    }
}
