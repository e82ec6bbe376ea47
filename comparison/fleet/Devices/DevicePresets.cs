using SplitFrozen.Comparison.Fleet.Simulation;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Comparison.Fleet.Devices;

/// <summary>A kind of device with where its figures come from.</summary>
/// <param name="Device">The figures.</param>
/// <param name="Source">Where rate, memory and links come from, and what is an estimate.</param>
public sealed record DevicePreset(SimulatedDevice Device, string Source);

/// <summary>
/// Kinds of devices. No rate is measured with this system's kernels on that hardware: each is a peak, or a published measurement, times a share
/// that is an <b>estimate</b>. Links are medians or means of public speed tests, halved where they are round trips. Microcontrollers are not
/// here: the smallest embedding table is larger than their memory.
/// </summary>
public static class DevicePresets
{
    private const double Megabit = 1e6 / 8;
    private const long Gibibyte = 1L << 30;

    private const string Broadband = "links: mean of fixed broadband, 85.73 Mbit/s down, 45.74 up (Ookla, September 2020), median latency 10 ms (Ookla, November 2022)";

    private const string FourthGeneration = "links: mean of mobile, 35.96 Mbit/s down, 11.22 up, latency 40 ms (Ookla, September 2020)";

    /// <summary>Jetson Orin Nano, 8 GB.</summary>
    public static DevicePreset JetsonOrinNano { get; } = new(
        OnBroadband("Jetson Orin Nano", 640, 8 * Gibibyte),
        "1,024 CUDA cores at 625 MHz (NVIDIA data sheet): 1,280 GFLOP/s f32 at peak; half of it sustained is an estimate; " + Broadband);

    /// <summary>A laptop with four AVX2 cores.</summary>
    public static DevicePreset Laptop { get; } = new(
        OnBroadband("laptop", 190, 16 * Gibibyte),
        "four cores at 3 GHz with two 256-bit FMA units: 384 GFLOP/s f32 at peak; half of it sustained is an estimate; " + Broadband);

    /// <summary>A present-day phone on 5G.</summary>
    public static DevicePreset Phone { get; } = new(
        Make("phone", 60, 8 * Gibibyte, up: 21.08, down: 166.13, roundTripMilliseconds: 28),
        "four large cores at 2.4 GHz with two 128-bit FMA units: 154 GFLOP/s f32 at peak; 40 % of it sustained, for heat, is an estimate; "
        + "links: median of 5G, 166.13 Mbit/s down, 21.08 up (Ookla, third quarter of 2021), median mobile latency 28 ms (Ookla, November 2022)");

    /// <summary>Raspberry Pi 5, 8 GB.</summary>
    public static DevicePreset RaspberryPi5 { get; } = new(
        OnBroadband("Raspberry Pi 5", 45, 8 * Gibibyte),
        "High-Performance Linpack in f64 measured at 30.2 GFLOP/s (github.com/geerlingguy/top500-benchmark, issue 18), twice that in f32; "
        + "three quarters of it, the share that this system's training step reaches of plain products on a server, is an estimate; " + Broadband);

    /// <summary>An old phone on 4G.</summary>
    public static DevicePreset OldPhone { get; } = new(
        Make("old phone", 14, 2 * Gibibyte, up: 11.22, down: 35.96, roundTripMilliseconds: 40),
        "four Cortex-A53 cores at 1.8 GHz at 8 operations a cycle: 58 GFLOP/s f32 at peak; a quarter of it sustained is an estimate; " + FourthGeneration);

    /// <summary>Raspberry Pi Zero 2 W, the smallest that runs a language model at all.</summary>
    public static DevicePreset RaspberryPiZero2 { get; } = new(
        OnBroadband("Raspberry Pi Zero 2 W", 8, Gibibyte / 2),
        "four Cortex-A53 cores at 1 GHz and 8 operations a cycle: 32 GFLOP/s f32 at peak; a quarter of it sustained is an estimate; 512 MiB of memory; " + Broadband);

    /// <summary>All of them, fastest first.</summary>
    public static IReadOnlyList<DevicePreset> All { get; } = [JetsonOrinNano, Laptop, Phone, RaspberryPi5, OldPhone, RaspberryPiZero2];

    /// <summary>A server with one NVIDIA T4: 8.1 TFLOP/s f32 at peak (NVIDIA data sheet), half of it sustained as an estimate; 1 Gbit/s both ways.</summary>
    public static SimulatedServer Server { get; } = new() { GigaflopsPerSecond = 4050, IngressBytesPerSecond = 1000 * Megabit, EgressBytesPerSecond = 1000 * Megabit };

    /// <summary>The heterogeneous fleet: eight devices, the fastest eighty times as fast as the slowest, and the server.</summary>
    public static SimulatedFleet HeterogeneousFleet { get; } = new(
        [.. new[] { JetsonOrinNano, Laptop, Phone, Phone, RaspberryPi5, RaspberryPi5, OldPhone, RaspberryPiZero2 }.Select(preset => preset.Device)], Server);

    private static SimulatedDevice OnBroadband(string name, double gigaflops, long memory) => Make(name, gigaflops, memory, up: 45.74, down: 85.73, roundTripMilliseconds: 10);

    private static SimulatedDevice Make(string name, double gigaflops, long memory, double up, double down, double roundTripMilliseconds) =>
        new(name, new DeviceProfile(gigaflops, memory, up * Megabit), down * Megabit, TimeSpan.FromMilliseconds(roundTripMilliseconds / 2));
}
