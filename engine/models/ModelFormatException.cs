namespace SplitFrozen.Models;

/// <summary>A model folder cannot be used: the message names the file, the field or tensor in it, and what to do.</summary>
public sealed class ModelFormatException : Exception
{
    /// <summary>Names the place of the fault.</summary>
    /// <param name="file">Path of the offending file.</param>
    /// <param name="field">Field of the configuration, tensor name, or part of the file.</param>
    /// <param name="fault">What is wrong and what to do, as a sentence.</param>
    public ModelFormatException(string file, string field, string fault)
        : base($"{file}: {field}: {fault}")
    {
        File = file;
        Field = field;
    }

    /// <summary>Path of the offending file.</summary>
    public string File { get; }

    /// <summary>Field of the configuration, tensor name, or part of the file.</summary>
    public string Field { get; }
}
