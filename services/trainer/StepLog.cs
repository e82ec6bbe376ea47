using System.Buffers;
using System.Text.Json;
using SplitFrozen.Contracts.Messages;

namespace SplitFrozen.Trainer;

/// <summary>
/// The trainer's own account of what it applied, <c>steps.jsonl</c>: one line per optimiser step with sequence, epoch, step,
/// loss (null without samples) and sample ids. It never says less than the checkpoint: it is flushed to the disk before a checkpoint is written,
/// and cut back to the checkpoint's position when the run is resumed.
/// </summary>
internal sealed class StepLog : IDisposable
{
    private readonly FileStream _file;

    /// <summary>Opens the log and drops what lies at or after a position.</summary>
    /// <param name="path">The file; made when it is not there.</param>
    /// <param name="nextSequence">The first sequence that is not in the checkpoint.</param>
    public StepLog(string path, long nextSequence)
    {
        _file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        _file.SetLength(KeptLength(_file, nextSequence));
        _file.Seek(0, SeekOrigin.End);
    }

    /// <summary>Appends a step.</summary>
    public void Append(StepMessage step, double loss)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("sequence"u8, step.Sequence);
            json.WriteNumber("epoch"u8, step.Epoch);
            json.WriteNumber("step"u8, step.Step);
            if (double.IsNaN(loss))
            {
                json.WriteNull("loss"u8);
            }
            else
            {
                json.WriteNumber("loss"u8, loss);
            }

            json.WriteStartArray("samples"u8);
            foreach (var sample in step.Samples)
            {
                json.WriteNumberValue(sample.Id.Value);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        _file.Write(buffer.WrittenSpan);
        _file.WriteByte((byte)'\n');
    }

    /// <summary>Brings everything to the disk.</summary>
    public void Flush() => _file.Flush(flushToDisk: true);

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private static long KeptLength(FileStream file, long nextSequence)
    {
        using var reader = new StreamReader(file, leaveOpen: true);
        var length = 0L;
        while (reader.ReadLine() is { } line)
        {
            if (Sequence(line) is not { } sequence || sequence >= nextSequence)
            {
                break;
            }

            // The lines are ASCII; a last line that was cut off by a crash does not parse.
            length += line.Length + 1;
        }

        return Math.Min(length, file.Length);
    }

    private static long? Sequence(string line)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            return json.RootElement.GetProperty("sequence").GetInt64();
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
