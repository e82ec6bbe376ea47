using SplitFrozen.Comparison.Fleet.Costs;
using SplitFrozen.Contracts.Wire;
using SplitFrozen.Models;
using SplitFrozen.Training.Export;
using static TorchSharp.torch;

namespace SplitFrozen.Comparison.Fleet.Tests.Costs;

public sealed class TransferSizesTests
{
    [Theory]
    [InlineData(WireType.Float32, HeadKind.Classification)]
    [InlineData(WireType.Float16, HeadKind.LanguageModel)]
    [InlineData(WireType.BFloat16, HeadKind.Classification)]
    [InlineData(WireType.Int8, HeadKind.LanguageModel)]
    [InlineData(WireType.Int8, HeadKind.Classification)]
    public void Activations_Size_IsThatOfTheEncodedMessage(WireType type, HeadKind head)
    {
        SampleSize[] samples = [new(3, 1), new(17, 5), new(1, 0)];
        var config = SmallModel.Config(ModelFamily.Gpt2);
        var workload = Workloads.Classification(config, 1) with { Head = head, WireType = type };
        using var hidden = randn(21, config.Width);
        var (states, scales) = HiddenStateCodec.Encode(hidden, type);
        var body = ActivationBatchCodec.Encode(new ActivationBatch
        {
            RunId = "demo-1a2b3c4d", ClientId = "client-3", ModelFingerprint = new string('a', 64), Cut = 2, Width = config.Width, WireType = type,
            Lengths = [3, 17, 1], SampleIds = [SampleId.Training(4), SampleId.Training(900), SampleId.Evaluation(2)],
            Labels = head == HeadKind.LanguageModel ? new int[21] : [0, 1, 0], LabelsPerToken = head == HeadKind.LanguageModel, HiddenStates = states, Scales = scales,
        });

        // The header is padded to a multiple of 8; an id that is a digit longer may fill the padding or take 8 bytes more.
        Assert.InRange(body.Length - new TransferSizes(workload).Activations(samples, 2), -8, 8);
    }

    [Theory]
    [InlineData(ModelFamily.Gpt2, 0, HeadKind.Classification)]
    [InlineData(ModelFamily.Llama, 2, HeadKind.LanguageModel)]
    public void Adapter_Size_IsThatOfTheFile(ModelFamily family, int boundary, HeadKind head)
    {
        using var model = SmallModel.Make(family);
        string[] targets = family == ModelFamily.Gpt2 ? ["c_attn", "c_proj"] : ["q_proj", "down_proj"];
        var workload = Workloads.Classification(model.Folder.Config, 1, targets: targets) with { Head = head };
        using var upper = UpperModel.Open(model.Folder, new UpperModelOptions
        {
            LowestCut = boundary, Boundary = boundary, Head = head, Classes = workload.Classes, Lora = workload.Lora,
        });
        var folder = Directory.CreateTempSubdirectory("splitfrozen-adapter-");
        PeftExport.Write(upper, new AdapterDescription { BaseModel = "base", BaseFingerprint = model.Folder.Fingerprint }, folder.FullName);
        var sizes = new TransferSizes(workload);

        Assert.Equal(new FileInfo(Path.Combine(folder.FullName, "adapter_model.safetensors")).Length, sizes.Adapter(boundary, 3));
        Assert.Equal(upper.Parameters.Sum(parameter => parameter.Value.NumberOfElements), sizes.TrainableParameters(boundary, 3));
        folder.Delete(recursive: true);
    }

    [Fact]
    public void Messages_AreBoundedInSamplesAndBytes_AndLoseNothing()
    {
        var workload = Workloads.Classification(Workloads.Gpt2Small, 1) with { MessageSamples = 3, MessageBytes = 1536 * 40 };
        SampleSize[] samples = [new(10, 1), new(10, 1), new(10, 1), new(10, 1), new(35, 1), new(50, 1), new(2, 1)];
        Assert.Equal([3, 1, 1, 1, 1], new TransferSizes(workload).Messages(samples, size => size).Select(message => message.Count));
    }
}
