using System.Runtime.InteropServices;
using TorchSharp;

namespace SplitFrozen.Torch;

/// <summary>
/// Loads the native tensor library once per process, before the first use of TorchSharp. The environment variable
/// <c>SPLITFROZEN_LIBTORCH</c> names another folder with libtorch 2.10; the links made for it live under
/// <c>$XDG_CACHE_HOME/splitfrozen</c> (default <c>~/.cache/splitfrozen</c>).
/// </summary>
public static class LibtorchLoader
{
    private static readonly Lazy<IntPtr> _bridge = new(LoadBridge, LazyThreadSafetyMode.ExecutionAndPublication);

    /// <summary>Loads the library; later calls return at once, or throw the first call's exception again. Thread-safe.</summary>
    /// <exception cref="LibtorchException">It is missing, or the system's loader refused it.</exception>
    public static void Load() => _ = _bridge.Value;

    private static IntPtr LoadBridge()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            throw new LibtorchException($"SplitFrozen runs on 64-bit x86 Linux; this is {RuntimeInformation.RuntimeIdentifier}.");
        }

        KeepFreedMemory();
        ShortenIdleSpinning();
        var handle = LoadPlainOrRelaxed(LibtorchFolder.Find());
        try
        {
            torch.InitializeDeviceType(DeviceType.CPU);
        }
        catch (Exception exception) when (exception is not LibtorchException)
        {
            throw new LibtorchException($"libtorch was loaded but did not start: {exception.Message}", exception);
        }

        ProgramPages.Release("libtorch_cpu.so");

        return handle;
    }

    private static IntPtr LoadPlainOrRelaxed(LibtorchFolder folder)
    {
        try
        {
            return NativeLibrary.Load(folder.LayOut(editedBridge: null));
        }
        catch (DllNotFoundException refusal)
        {
            var bridge = File.ReadAllBytes(folder.Bridge);
            if (!BridgeRelaxation.IsKnown(bridge))
            {
                throw Refused(folder.Bridge, refusal);
            }

            BridgeRelaxation.Apply(bridge);
            try
            {
                return NativeLibrary.Load(folder.LayOut(bridge));
            }
            catch (DllNotFoundException secondRefusal)
            {
                throw Refused(folder.Bridge, secondRefusal);
            }
        }
    }

    private static LibtorchException Refused(string bridge, DllNotFoundException refusal) => new(
        $"The system does not load TorchSharp's native bridge {bridge}: {refusal.Message.Trim()} "
        + $"It needs glibc 2.28 or newer and libtorch 2.10 beside it; {LibtorchFolder.OverrideVariable} names another libtorch folder.",
        refusal);

    // glibc gives every large block back to the kernel when it is freed, and takes page faults when the next step asks for
    // it again. Threads other than the first keep theirs in heaps of 64 MiB, which are unmapped when empty unless the padding is
    // larger than a heap. An allocator without mallopt is fine.
    private static void KeepFreedMemory()
    {
        const int TrimThreshold = -1;
        const int MappingsMaximum = -4;
        const int TopPadding = -2;
        try
        {
            _ = NativeProcess.SetOption(MappingsMaximum, 0);
            _ = NativeProcess.SetOption(TrimThreshold, int.MaxValue);
            _ = NativeProcess.SetOption(TopPadding, 1 << 27);
        }
        catch (EntryPointNotFoundException)
        {
            return;
        }
    }

    // OpenMP's idle threads spin for milliseconds by default and take the core from whoever else would use it: two threads beside
    // a busy process were slower than one. A short spin keeps nearly all the speed of a quiet machine.
    private static void ShortenIdleSpinning()
    {
        if (Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null)
        {
            _ = NativeProcess.SetVariable("GOMP_SPINCOUNT", "2000", overwrite: 0);
        }
    }

    private static class NativeProcess
    {
        [DllImport("libc", EntryPoint = "setenv", ExactSpelling = true, CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        internal static extern int SetVariable([MarshalAs(UnmanagedType.LPStr)] string name, [MarshalAs(UnmanagedType.LPStr)] string value, int overwrite);

        [DllImport("libc", EntryPoint = "mallopt", ExactSpelling = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        internal static extern int SetOption(int parameter, int value);
    }
}
