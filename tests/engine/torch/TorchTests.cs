using SplitFrozen.Torch;
using TorchSharp;

namespace SplitFrozen.Tests.Engine.Torch;

public sealed class LibtorchLoaderTests
{
    [Fact]
    public void Load_CalledTwice_TensorsWork()
    {
        LibtorchLoader.Load();
        LibtorchLoader.Load();

        using var x = torch.arange(6, torch.float32).reshape(2, 3);
        using var product = x.matmul(x.t());

        Assert.Equal([5f, 14f, 14f, 50f], product.data<float>().ToArray());
    }

    [Fact]
    public void Folder_WithoutLibtorch_NamesMissingFilesAndVariable()
    {
        var empty = Directory.CreateTempSubdirectory("splitfrozen-");
        try
        {
            var exception = Assert.Throws<LibtorchException>(
                () => new LibtorchFolder(empty.FullName, Path.Combine(empty.FullName, "bridge.so"), empty.FullName));

            Assert.Contains("libtorch_cpu.so", exception.Message, StringComparison.Ordinal);
            Assert.Contains("SPLITFROZEN_LIBTORCH", exception.Message, StringComparison.Ordinal);
        }
        finally
        {
            empty.Delete(recursive: true);
        }
    }

    [Fact]
    public void Relaxation_OfUnknownFile_IsRefused()
    {
        Assert.False(BridgeRelaxation.IsKnown([1, 2, 3]));
    }

    [Fact]
    public void Relaxation_OfKnownFile_ChangesOnlyThreePlaces()
    {
        var original = File.ReadAllBytes(LibtorchFolder.Find().Bridge);
        Assert.SkipUnless(BridgeRelaxation.IsKnown(original), "The bridge found here is not the one that needs the edit.");
        var edited = (byte[])original.Clone();

        BridgeRelaxation.Apply(edited);

        var changed = original.Zip(edited).Count(pair => pair.First != pair.Second);
        Assert.InRange(changed, 3, "_ZSt21ios_base_library_initv".Length + 4);
        Assert.Equal(original.Length, edited.Length);
    }

    [Fact]
    public void LayOut_CalledTwice_LinksAndReplacesTheBridge()
    {
        var cache = Directory.CreateTempSubdirectory("splitfrozen-");
        try
        {
            var libtorch = Directory.CreateDirectory(Path.Combine(cache.FullName, "source")).FullName;
            foreach (var file in new[] { "libtorch_cpu.so", "libtorch.so", "libc10.so", "bridge.so" })
            {
                File.WriteAllText(Path.Combine(libtorch, file), file);
            }

            var folder = new LibtorchFolder(libtorch, Path.Combine(libtorch, "bridge.so"), cache.FullName);
            folder.LayOut([1]);
            var placed = folder.LayOut([2, 3]);

            Assert.Equal([2, 3], File.ReadAllBytes(placed));
            var link = new FileInfo(Path.Combine(Path.GetDirectoryName(placed)!, "libc10.so"));
            Assert.Equal(Path.Combine(libtorch, "libc10.so"), link.LinkTarget);
        }
        finally
        {
            cache.Delete(recursive: true);
        }
    }
}

public sealed class ComputeThreadTests
{
    [Fact]
    public async Task RunAsync_ManyItems_RunInOrderOnOneThread()
    {
        using var thread = new ComputeThread("test", 1);
        var seen = new List<(int Item, int Thread)>();

        await Task.WhenAll(Enumerable.Range(0, 50).Select(
            item => thread.RunAsync(() => seen.Add((item, Environment.CurrentManagedThreadId)), TestContext.Current.CancellationToken)));

        Assert.Equal(Enumerable.Range(0, 50), seen.Select(entry => entry.Item));
        Assert.Single(seen.Select(entry => entry.Thread).Distinct());
    }

    [Fact]
    public async Task RunAsync_WorkThrows_CallerGetsItAndTheThreadLives()
    {
        using var thread = new ComputeThread("test", 1);

        await Assert.ThrowsAsync<InvalidDataException>(
            () => thread.RunAsync(() => throw new InvalidDataException("wrong"), TestContext.Current.CancellationToken));

        Assert.Equal(1, await thread.RunAsync(torch.get_num_threads, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task RunAsync_CancelledBeforeItsTurn_DoesNotRun()
    {
        using var thread = new ComputeThread("test", 1);
        using var cancellation = new CancellationTokenSource();
        using var gate = new ManualResetEventSlim();
        var ran = false;
        var first = thread.RunAsync(() => gate.Wait(TestContext.Current.CancellationToken), TestContext.Current.CancellationToken);
        var second = thread.RunAsync(() => ran = true, cancellation.Token);

        await cancellation.CancelAsync();
        gate.Set();
        await first;

        await Assert.ThrowsAsync<TaskCanceledException>(() => second);
        Assert.False(ran);
    }

    [Fact]
    public async Task RunAsync_AfterDispose_Throws()
    {
        var thread = new ComputeThread("test", 1);
        thread.Dispose();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => thread.RunAsync(() => 1, TestContext.Current.CancellationToken));
    }
}

public sealed class TensorBytesTests
{
    public TensorBytesTests() => LibtorchLoader.Load();

    [Fact]
    public void Bytes_OfTransposedTensor_AreRowMajor()
    {
        using var x = torch.tensor(new float[] { 1, 2, 3, 4 }).reshape(2, 2);
        using var transposed = x.t();

        using var copy = TensorBytes.FromBytes(TensorBytes.ToBytes(transposed), [2, 2], torch.float32);

        Assert.Equal([1f, 3f, 2f, 4f], copy.data<float>().ToArray());
    }

    [Fact]
    public void FromBytes_WrongLength_NamesBothLengths()
    {
        var exception = Assert.Throws<ArgumentException>(() => TensorBytes.FromBytes(new byte[7], [2], torch.float32));

        Assert.Contains("takes 8 bytes, not 7", exception.Message, StringComparison.Ordinal);
    }
}

public sealed class ComputeThreadContextTests
{
    [Fact]
    public async Task RunAsync_InASpan_RunsWithinItAndLeavesNoneBehind()
    {
        using var thread = new ComputeThread("test", 1);
        using (var activity = new System.Diagnostics.Activity("asker").Start())
        {
            Assert.Same(activity, await thread.RunAsync(() => System.Diagnostics.Activity.Current, TestContext.Current.CancellationToken));
        }

        Assert.Null(await thread.RunAsync(() => System.Diagnostics.Activity.Current, TestContext.Current.CancellationToken));
    }
}
