using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace SplitFrozen.Tokenizers;

/// <summary>A trained byte-level vocabulary, ready to be written as a GPT-2 tokenizer.</summary>
public sealed class BytePairVocabulary
{
    private static readonly JsonWriterOptions s_json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, Indented = true };

    internal BytePairVocabulary(IReadOnlyList<string> tokens, IReadOnlyList<(string Left, string Right)> merges)
    {
        Tokens = tokens;
        Merges = merges;
    }

    /// <summary>The tokens by id, in byte symbols: 256 bytes, then one per merge, <c>&lt;|endoftext|&gt;</c> last.</summary>
    public IReadOnlyList<string> Tokens { get; }

    /// <summary>The merges, first to apply first; merge <c>i</c> makes token <c>256 + i</c>.</summary>
    public IReadOnlyList<(string Left, string Right)> Merges { get; }

    /// <summary>
    /// Writes <c>vocab.json</c>, <c>merges.txt</c> and <c>tokenizer_config.json</c> into <paramref name="folder"/>, as Hugging
    /// Face's <c>GPT2Tokenizer</c> reads them. Each file appears whole or not at all; the folder is made if need be.
    /// </summary>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public void Write(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        Directory.CreateDirectory(folder);
        WriteWhole(Path.Combine(folder, BytePairFiles.VocabularyFile), VocabularyJson());
        var merges = new StringBuilder("#version: 0.2\n");
        foreach (var (left, right) in Merges)
        {
            merges.Append(left).Append(' ').Append(right).Append('\n');
        }

        WriteWhole(Path.Combine(folder, BytePairFiles.MergesFile), Encoding.UTF8.GetBytes(merges.ToString()));
        WriteWhole(Path.Combine(folder, "tokenizer_config.json"), ConfigurationJson());
    }

    private byte[] VocabularyJson() => Json(writer =>
    {
        for (var id = 0; id < Tokens.Count; id++)
        {
            writer.WriteNumber(Tokens[id], id);
        }
    });

    private static byte[] ConfigurationJson() => Json(writer =>
    {
        writer.WriteString("tokenizer_class", "GPT2Tokenizer");
        writer.WriteBoolean("add_prefix_space", false);
        writer.WriteString("bos_token", BytePairFiles.EndOfText);
        writer.WriteString("eos_token", BytePairFiles.EndOfText);
        writer.WriteString("unk_token", BytePairFiles.EndOfText);
    });

    private static byte[] Json(Action<Utf8JsonWriter> writeMembers)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, s_json))
        {
            writer.WriteStartObject();
            writeMembers(writer);
            writer.WriteEndObject();
        }

        stream.WriteByte((byte)'\n');
        return stream.ToArray();
    }

    private static void WriteWhole(string path, byte[] content)
    {
        var temporary = path + ".tmp";
        File.WriteAllBytes(temporary, content);
        File.Move(temporary, path, overwrite: true);
    }
}
