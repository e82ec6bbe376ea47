namespace SplitFrozen.ServiceDefaults;

/// <summary>Several subscriptions that end together.</summary>
public sealed class Subscriptions : IDisposable
{
    private readonly List<IDisposable> _all = [];

    /// <summary>Adds one.</summary>
    public void Add(IDisposable subscription) => _all.Add(subscription);

    /// <summary>Ends all.</summary>
    public void Dispose()
    {
        _all.ForEach(subscription => subscription.Dispose());
        _all.Clear();
    }
}
