namespace SplitFrozen.Contracts.Messages;

/// <summary>A message for one receiver: it reaches only who subscribed under that address.</summary>
public interface IAddressedMessage
{
    /// <summary>Who is meant: a client of a run, or a device worker.</summary>
    string Address { get; }
}
