using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// What a part of the forward pass saves for its backward pass: a stack, pushed in forward order and popped in backward order.
/// It holds its own handles of the tensors and frees them together.
/// </summary>
internal sealed class Tape : IDisposable
{
    private readonly Stack<object?> _saved = new();
    private readonly List<IDisposable> _held = [];

    /// <summary>A handle of <paramref name="tensor"/> that lives until the tape is disposed.</summary>
    internal Tensor Keep(Tensor tensor)
    {
        var handle = tensor.alias().DetachFromDisposeScope();
        _held.Add(handle);
        return handle;
    }

    /// <summary>Keeps a tensor and pushes it.</summary>
    internal void Push(Tensor? tensor) => _saved.Push(tensor is null ? null : Keep(tensor));

    /// <summary>Takes over an object and pushes it.</summary>
    internal void PushOwned(IDisposable owned)
    {
        _held.Add(owned);
        _saved.Push(owned);
    }

    /// <summary>Pops what was pushed last.</summary>
    internal Tensor Pop() => (Tensor)_saved.Pop()!;

    /// <summary>Pops what was pushed last, which may have been null.</summary>
    internal Tensor? PopOptional() => (Tensor?)_saved.Pop();

    /// <summary>Pops an object that the tape took over.</summary>
    internal T PopOwned<T>()
        where T : IDisposable => (T)_saved.Pop()!;

    public void Dispose()
    {
        foreach (var item in _held)
        {
            item.Dispose();
        }

        _held.Clear();
        _saved.Clear();
    }
}
