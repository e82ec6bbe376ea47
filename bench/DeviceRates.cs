using System.Diagnostics;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using static TorchSharp.torch;

namespace SplitFrozen.Bench;

/// <summary>
/// The frozen forward of a device with f32 and int8 weights and the machine's own rate for linear layers, in turn, in useful GFLOP for a second of
/// the thread's processor time: on a busy machine the clock says little.
/// </summary>
internal static class DeviceRates
{
    private const int Rounds = 9;
    private const int MicroBatch = 16;
    private const int MicroBatches = 8;
    private const int LinearRows = 512;
    private const int LinearProducts = 8;

    /// <summary>Medians. Runs on a compute thread of one thread, and nothing else in the process may work.</summary>
    public static (double F32, double Int8, double Linear) Measure(string path, IReadOnlyList<EncodedSample> samples)
    {
        using var f32Model = ModelFolder.Open(path);
        using var int8Model = ModelFolder.Open(path, FrozenWeights.Int8);
        using var f32 = FrozenEncoder.Open(f32Model, DeviceFootprint.Cut);
        using var int8 = FrozenEncoder.Open(int8Model, DeviceFootprint.Cut);
        var parts = samples.Take(MicroBatch * MicroBatches).Chunk(MicroBatch).ToArray();
        var flops = FrozenEncoder.ForwardFlops(f32Model.Config, DeviceFootprint.Cut, parts.SelectMany(part => part.Select(sample => sample.Tokens.Length)));
        var (f32Rates, int8Rates, linear) = (new List<double>(), new List<double>(), new List<double>());
        using var x = randn(LinearRows, f32Model.Config.Width);
        using var weight = randn(f32Model.Config.Width, f32Model.Config.InnerWidth);
        for (var round = 0; round <= Rounds; round++)
        {
            var rates = (F32: Rate(f32, parts, flops), Int8: Rate(int8, parts, flops), Linear: LinearRate(x, weight));

            // The first round compiles.
            if (round > 0)
            {
                f32Rates.Add(rates.F32);
                int8Rates.Add(rates.Int8);
                linear.Add(rates.Linear);
            }
        }

        return (Machine.Median(f32Rates), Machine.Median(int8Rates), Machine.Median(linear));
    }

    /// <summary>How far int8 weights move the hidden states: the norm of the difference over that of f32's.</summary>
    public static double Distance(string path, IReadOnlyList<EncodedSample> samples)
    {
        using var f32Model = ModelFolder.Open(path);
        using var int8Model = ModelFolder.Open(path, FrozenWeights.Int8);
        using var f32 = FrozenEncoder.Open(f32Model, DeviceFootprint.Cut);
        using var int8 = FrozenEncoder.Open(int8Model, DeviceFootprint.Cut);
        var part = samples.Take(MicroBatch).ToArray();
        using var exact = Encode(f32, part);
        using var rounded = Encode(int8, part);
        using var difference = exact.sub(rounded);
        return difference.norm().item<float>() / exact.norm().item<float>();
    }

    private static double LinearRate(Tensor x, Tensor weight)
    {
        var started = Process.GetCurrentProcess().TotalProcessorTime;
        for (var i = 0; i < LinearProducts; i++)
        {
            x.mm(weight).Dispose();
        }

        return 2.0 * LinearProducts * LinearRows * weight.shape[0] * weight.shape[1] / (Process.GetCurrentProcess().TotalProcessorTime - started).TotalSeconds / 1e9;
    }

    private static double Rate(FrozenEncoder encoder, EncodedSample[][] parts, long flops)
    {
        var started = Process.GetCurrentProcess().TotalProcessorTime;
        foreach (var part in parts)
        {
            Encode(encoder, part).Dispose();
        }

        return flops / (Process.GetCurrentProcess().TotalProcessorTime - started).TotalSeconds / 1e9;
    }

    private static Tensor Encode(FrozenEncoder encoder, EncodedSample[] samples)
    {
        using var layout = new SequenceLayout(Array.ConvertAll(samples, sample => sample.Tokens.Length));
        return encoder.Encode([.. samples.SelectMany(sample => sample.Tokens)], layout);
    }
}

/// <summary>Bytes that a device sends for some samples, against f32 rows with padding.</summary>
/// <param name="Sent">Bytes of all messages, headers and labels included.</param>
/// <param name="PaddedToMaximum">f32 rows, every sample padded to the task's longest.</param>
/// <param name="PaddedToBatch">f32 rows, every sample padded to the longest in its message.</param>
internal readonly record struct WireBytes(long Sent, long PaddedToMaximum, long PaddedToBatch)
{
    private const int SamplesPerMessage = 32;

    /// <summary>Reckons for messages of 32 samples.</summary>
    public static WireBytes Of(IReadOnlyList<EncodedSample> samples, WireType type, int width, int maximumLength)
    {
        var bytes = default(WireBytes);
        foreach (var part in samples.Chunk(SamplesPerMessage))
        {
            var lengths = Array.ConvertAll(part, sample => sample.Tokens.Length);
            var sent = ActivationBatchCodec.EncodedLength(new ActivationBatch
            {
                RunId = "device", ClientId = "client-1", ModelFingerprint = new string('a', 64), Cut = DeviceFootprint.Cut, Width = width, WireType = type,
                Lengths = lengths, SampleIds = [], Labels = [], LabelsPerToken = false, HiddenStates = default,
            });
            var row = (long)width * sizeof(float);
            bytes = new WireBytes(bytes.Sent + sent, bytes.PaddedToMaximum + (row * part.Length * maximumLength), bytes.PaddedToBatch + (row * part.Length * lengths.Max()));
        }

        return bytes;
    }
}
