namespace SplitFrozen.Contracts.Messages;

/// <summary>A message that belongs to one run; services ignore those of other runs.</summary>
public interface IRunMessage
{
    /// <summary>The run.</summary>
    string RunId { get; }
}
