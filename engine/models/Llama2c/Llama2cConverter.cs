using System.Runtime.InteropServices;
using SplitFrozen.Contracts.Safetensors;
using Section = SplitFrozen.Models.Llama2c.Llama2cModelFile.Section;

namespace SplitFrozen.Models.Llama2c;

/// <summary>
/// Turns a model of llama2.c (legacy format, float32) with its tokenizer into an ordinary Hugging Face Llama folder:
/// <c>config.json</c>, <c>model.safetensors</c>, <c>tokenizer.model</c> (SentencePiece) and <c>tokenizer_config.json</c>.
/// </summary>
public static class Llama2cConverter
{
    private const string TokenizerConfig = """
        {
          "tokenizer_class": "LlamaTokenizer",
          "bos_token": "<s>",
          "eos_token": "</s>",
          "unk_token": "<unk>",
          "add_bos_token": true,
          "add_eos_token": false,
          "legacy": true
        }

        """;

    /// <summary>Converts; the folder appears only when it is complete.</summary>
    /// <param name="modelFile">llama2.c's model, for example <c>stories260K.bin</c>.</param>
    /// <param name="tokenizerFile">Its tokenizer, for example <c>tok512.bin</c>; must have as many pieces as the model has ids.</param>
    /// <param name="folder">Folder to make; must not exist or be empty.</param>
    /// <exception cref="ModelFormatException">A file is missing, truncated, damaged or of another format; the message names the place.</exception>
    /// <exception cref="IOException"><paramref name="folder"/> holds files already, or cannot be written.</exception>
    public static void Convert(string modelFile, string tokenizerFile, string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(modelFile);
        ArgumentException.ThrowIfNullOrEmpty(tokenizerFile);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        if (File.Exists(target) || (Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any()))
        {
            throw new IOException($"{folder} exists already. Name a new folder for the converted model.");
        }

        using var model = Llama2cModelFile.Open(modelFile);
        var vocabulary = Llama2cVocabulary.Read(tokenizerFile, model.Config.VocabularySize);
        var unfinished = target + ".unfinished";
        try
        {
            _ = Directory.CreateDirectory(unfinished);
            model.Config.Write(unfinished);
            WriteWeights(model, Path.Combine(unfinished, "model.safetensors"));
            vocabulary.WriteSentencePiece(Path.Combine(unfinished, "tokenizer.model"));
            File.WriteAllText(Path.Combine(unfinished, "tokenizer_config.json"), TokenizerConfig);
            if (Directory.Exists(target))
            {
                Directory.Delete(target);
            }

            Directory.Move(unfinished, target);
        }
        catch
        {
            if (Directory.Exists(unfinished))
            {
                Directory.Delete(unfinished, recursive: true);
            }

            throw;
        }
    }

    private static void WriteWeights(Llama2cModelFile model, string path)
    {
        var writer = new SafetensorsWriter();
        writer.SetMetadata("format", "pt");
        void Add(string name, Section section, int block = 0, int rotatedHeads = 0)
        {
            var (_, rows, columns, _) = model.Sections[section];
            long[] shape = section is Section.AttentionNorm or Section.FeedForwardNorm or Section.FinalNorm ? [columns] : [rows, columns];
            writer.Add(name, ElementType.Float32, shape, stream =>
            {
                var values = model.Read(section, block);
                stream.Write(MemoryMarshal.AsBytes(rotatedHeads == 0 ? values : PairsToHalves(values, rotatedHeads, columns).AsSpan()));
            });
        }

        Add("model.embed_tokens.weight", Section.Embedding);
        for (var block = 0; block < model.Config.Layers; block++)
        {
            var prefix = $"model.layers.{block}.";
            Add(prefix + "input_layernorm.weight", Section.AttentionNorm, block);
            Add(prefix + "self_attn.q_proj.weight", Section.Query, block, model.Config.Heads);
            Add(prefix + "self_attn.k_proj.weight", Section.Key, block, model.Config.KeyValueHeads);
            Add(prefix + "self_attn.v_proj.weight", Section.Value, block);
            Add(prefix + "self_attn.o_proj.weight", Section.Output, block);
            Add(prefix + "post_attention_layernorm.weight", Section.FeedForwardNorm, block);
            Add(prefix + "mlp.gate_proj.weight", Section.Gate, block);
            Add(prefix + "mlp.up_proj.weight", Section.Up, block);
            Add(prefix + "mlp.down_proj.weight", Section.Down, block);
        }

        Add("model.norm.weight", Section.FinalNorm);
        if (!model.Config.TieWordEmbeddings)
        {
            Add("lm_head.weight", Section.Head);
        }

        using var stream = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        writer.WriteTo(stream);
    }

    /// <summary>
    /// llama2.c turns rows 2j and 2j+1 of a head together, Hugging Face rows j and j + D/2: row 2j+h of each head moves to
    /// row h·D/2 + j. Attention sums over the head's rows, so nothing else changes.
    /// </summary>
    private static float[] PairsToHalves(float[] weight, int heads, int columns)
    {
        var moved = new float[weight.Length];
        var headWidth = weight.Length / columns / heads;
        for (var head = 0; head < heads; head++)
        {
            for (var row = 0; row < headWidth; row++)
            {
                var from = ((head * headWidth) + row) * columns;
                var to = ((head * headWidth) + (row % 2 * (headWidth / 2)) + (row / 2)) * columns;
                weight.AsSpan(from, columns).CopyTo(moved.AsSpan(to, columns));
            }
        }

        return moved;
    }
}
