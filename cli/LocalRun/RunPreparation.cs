using SplitFrozen.Cli.Specification;
using SplitFrozen.Contracts.RunSpecification;
using SplitFrozen.Models;
using SplitFrozen.Tasks;
using SplitFrozen.Tokenizers;

namespace SplitFrozen.Cli.LocalRun;

/// <summary>
/// Opens and checks all that a spec names, and writes nothing. Faults are gathered as far as one does not hide the other:
/// the spec's values and files together, then the spec against its model, then tokenizer and data.
/// </summary>
internal static class RunPreparation
{
    /// <summary>Reads the spec and everything it names.</summary>
    /// <exception cref="InputException">With all faults found.</exception>
    public static PreparedRun Prepare(string specFile, IReadOnlyList<string> overrides, Func<string, string?> environment)
    {
        var reading = SpecReader.ReadFile(specFile, overrides, environment);
        reading = reading.With(
            [.. RunSpecValidator.Validate(reading.Spec, File.Exists, Directory.Exists), .. RunSpecValidator.ValidateForOneProcess(reading.Spec)]);
        var faults = new List<string>();
        var model = OpenModel(reading, faults);
        try
        {
            if (model is not null)
            {
                reading = reading.With(RunSpecValidator.ValidateAgainstModel(reading.Spec, Limits(model)));
            }

            faults.InsertRange(0, reading.Faults.Select(fault => fault.ToString()));
            ThrowIfAny(faults);
            return Load(reading.Spec, model!);
        }
        catch
        {
            model?.Dispose();
            throw;
        }
    }

    /// <summary>Opens the model even where the spec has faults elsewhere, so that its own are reported with them.</summary>
    private static ModelFolder? OpenModel(SpecReading reading, List<string> faults)
    {
        if (!Directory.Exists(reading.Spec.Model.Path))
        {
            return null;
        }

        try
        {
            // A name that is none is among the spec's own faults.
            return ModelFolder.Open(reading.Spec.Model.Path, FrozenWeightNames.Find(reading.Spec.Device.Weights) ?? FrozenWeights.Float32);
        }
        catch (ModelFormatException exception)
        {
            faults.Add(exception.Message);
            return null;
        }
    }

    private static PreparedRun Load(RunSpec spec, ModelFolder model)
    {
        var faults = new List<string>();
        var tokenizer = Try(() => TokenizerFolder.Open(spec.Model.Path), faults);
        if (tokenizer is not null && tokenizer.VocabularySize > model.Config.VocabularySize)
        {
            faults.Add(
                $"{spec.Model.Path}: the tokenizer names {tokenizer.VocabularySize} tokens, but the model's vocab_size is {model.Config.VocabularySize}; "
                + "tokenizer and weights belong to different models.");
        }

        ThrowIfAny(faults);
        var data = Try(() => TaskData.Load(spec.Task, Environment.CurrentDirectory, tokenizer!, model.Config.MaximumPositions), faults);
        var partition = data is null ? null : Try(() => Partitioner.Partition(data.Train, spec.Clients, unchecked((ulong)spec.Seed)), faults);
        ThrowIfAny(faults);
        return new PreparedRun { Spec = spec, Model = model, Tokenizer = tokenizer!, Data = data!, Partition = partition! };
    }

    private static T? Try<T>(Func<T> work, List<string> faults)
        where T : class
    {
        try
        {
            return work();
        }
        catch (Exception exception) when (exception is TokenizerFormatException or DataException)
        {
            faults.Add(exception.Message);
            return null;
        }
    }

    /// <summary>The linear layers of a block are its matrices: the weights of block 0 with two dimensions.</summary>
    private static ModelLimits Limits(ModelFolder model)
    {
        var prefix = model.Config.Family == ModelFamily.Gpt2 ? "h.0." : "layers.0.";
        const string Suffix = ".weight";
        string[] layers =
        [
            .. model.TensorNames
                .Where(name => name.StartsWith(prefix, StringComparison.Ordinal) && name.EndsWith(Suffix, StringComparison.Ordinal) && model.Shape(name).Length == 2)
                .Select(name => name[prefix.Length..^Suffix.Length]),
        ];
        return new ModelLimits(model.Config.Layers, model.Config.MaximumPositions, layers);
    }

    private static void ThrowIfAny(List<string> faults)
    {
        if (faults.Count > 0)
        {
            throw new InputException(faults);
        }
    }
}
