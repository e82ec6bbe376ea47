using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using TorchSharp;

namespace SplitFrozen.Torch;

/// <summary>
/// One dedicated thread on which tensor work runs, in the order it was asked for. OpenMP keeps its thread pool and its thread
/// count per calling thread, so tensor work on the thread pool would start many pools, each with the default count. Work runs in the
/// execution context of whoever asked for it, so that its spans belong to the asker's.
/// </summary>
public sealed class ComputeThread : IDisposable
{
    [SuppressMessage("Usage", "CA2213", Justification = "A late caller must still be able to ask whether it takes work; it holds no handle of its own.")]
    private readonly BlockingCollection<Action> _queue = [];
    private readonly Thread _thread;
    private readonly int _threads;

    /// <summary>Starts the thread; libtorch is loaded on it before the first work item.</summary>
    /// <param name="name">Name of the thread, for debuggers and traces.</param>
    /// <param name="threads">OpenMP threads that one operation may use, at least 1.</param>
    public ComputeThread(string name, int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        _threads = threads;
        _thread = new Thread(Consume) { Name = name, IsBackground = true };
        _thread.Start();
    }

    /// <summary>Runs <paramref name="work"/> on the thread; its exception, or that of loading libtorch, ends up in the task.</summary>
    /// <param name="work">What to compute.</param>
    /// <param name="cancellationToken">Cancels the item while it still waits; work that has begun runs to its end.</param>
    /// <exception cref="ObjectDisposedException">The thread was ended.</exception>
    public Task<T> RunAsync<T>(Func<T> work, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(work);
        if (cancellationToken.IsCancellationRequested)
        {
            return Task.FromCanceled<T>(cancellationToken);
        }

        var completion = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        ObjectDisposedException.ThrowIf(_queue.IsAddingCompleted, this);
        var context = ExecutionContext.Capture();
        _queue.Add(
            () =>
            {
                if (context is null)
                {
                    Complete(completion, work, cancellationToken);
                }
                else
                {
                    ExecutionContext.Run(context, _ => Complete(completion, work, cancellationToken), null);
                }
            },
            CancellationToken.None);
        return completion.Task;
    }

    /// <inheritdoc cref="RunAsync{T}"/>
    public Task RunAsync(Action work, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(work);
        return RunAsync(
            () =>
            {
                work();
                return true;
            },
            cancellationToken);
    }

    /// <summary>Takes no more work, finishes what waits, and ends the thread. Not to be called from the thread itself.</summary>
    public void Dispose()
    {
        if (_queue.IsAddingCompleted)
        {
            return;
        }

        _queue.CompleteAdding();
        _thread.Join();
    }

    [SuppressMessage("Design", "CA1031", Justification = "The exception is handed to the caller through the task.")]
    private static void Complete<T>(TaskCompletionSource<T> completion, Func<T> work, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            completion.SetCanceled(cancellationToken);
            return;
        }

        try
        {
            LibtorchLoader.Load();
            completion.SetResult(work());
        }
        catch (OperationCanceledException cancelled) when (cancellationToken.IsCancellationRequested)
        {
            completion.SetCanceled(cancelled.CancellationToken);
        }
        catch (Exception exception)
        {
            completion.SetException(exception);
        }
    }

    private void Consume()
    {
        try
        {
            LibtorchLoader.Load();
            torch.set_num_threads(_threads);
        }
        catch (LibtorchException)
        {
            // Every work item meets the same exception and reports it to its caller.
        }

        foreach (var item in _queue.GetConsumingEnumerable())
        {
            item();
        }
    }
}
