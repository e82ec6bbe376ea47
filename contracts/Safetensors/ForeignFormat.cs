namespace SplitFrozen.Contracts.Safetensors;

/// <summary>Recognises what people mistake for safetensors, so that the error can say what to do.</summary>
internal static class ForeignFormat
{
    /// <summary>A sentence on what the file is instead; null where its first bytes say nothing.</summary>
    public static string? Recognise(ReadOnlySpan<byte> start)
    {
        if (start.StartsWith("PK\x03\x04"u8))
        {
            return "This is a zip archive, as PyTorch's .bin and .pt files are: it holds a pickle, which can run code when it is read. "
                + "Convert the model to safetensors first (in Python: safetensors.torch.save_file).";
        }

        // A pickle of protocol 2 to 5 begins with the PROTO opcode 0x80 and the version.
        if (start.Length > 1 && start[0] == 0x80 && start[1] is >= 2 and <= 5)
        {
            return "This is a Python pickle, as old PyTorch .bin files are: it can run code when it is read. "
                + "Convert the model to safetensors first (in Python: safetensors.torch.save_file).";
        }

        if (start.StartsWith("version "u8))
        {
            return "This looks like a Git LFS pointer, not the weights: run 'git lfs pull' in the model's repository, or download the file itself.";
        }

        if (start.StartsWith("GGUF"u8))
        {
            return "This is a GGUF file; the model is needed in safetensors form.";
        }

        return null;
    }
}
