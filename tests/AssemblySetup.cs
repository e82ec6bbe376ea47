using SplitFrozen.Torch;

[assembly: AssemblyFixture(typeof(SplitFrozen.Tests.LibtorchFixture))]
[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)]

namespace SplitFrozen.Tests;

/// <summary>Loads libtorch once, with one thread, before any test touches a tensor.</summary>
public sealed class LibtorchFixture
{
    public LibtorchFixture()
    {
        LibtorchLoader.Load();
        TorchSharp.torch.set_num_threads(1);
    }
}
