using System.Text.Json;
using SplitFrozen.Training.Files;

namespace SplitFrozen.Comparison.Study;

/// <summary>Results of cells in a folder, one file a cell, named by the hash of everything that decides it. Thread-safe.</summary>
/// <param name="folder">The folder; made at the first writing.</param>
public sealed class CellStore(string folder)
{
    /// <summary>Path of a cell's file, whether it is there or not.</summary>
    public string PathOf(CellIdentity identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        return Path.Combine(folder, identity.Hash() + ".json");
    }

    /// <summary>The stored result of a cell; null if it is not there or cannot be read, for example after a crash of the machine.</summary>
    public CellResult? Read(CellIdentity identity)
    {
        var path = PathOf(identity);
        if (!File.Exists(path))
        {
            return null;
        }

        try
        {
            using var stream = File.OpenRead(path);
            return JsonSerializer.Deserialize(stream, StudyJson.Default.CellResult);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>Stores a result.</summary>
    public void Write(CellResult result)
    {
        ArgumentNullException.ThrowIfNull(result);
        _ = Directory.CreateDirectory(folder);
        AtomicFile.Write(PathOf(result.Identity), stream => JsonSerializer.Serialize(stream, result, StudyJson.Default.CellResult));
    }
}
