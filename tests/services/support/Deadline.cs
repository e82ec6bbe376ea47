namespace SplitFrozen.Services.Tests.Support;

/// <summary>Waits for a condition; a test never waits for a time.</summary>
internal static class Deadline
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public static CancellationTokenSource Token() => new(Limit);

    public static async Task UntilAsync(Func<bool> condition, string what)
    {
        using var limit = Token();
        while (!condition())
        {
            Assert.False(limit.IsCancellationRequested, $"Not within {Limit}: {what}");
            await Task.Delay(2, TestContext.Current.CancellationToken);
        }
    }
}
