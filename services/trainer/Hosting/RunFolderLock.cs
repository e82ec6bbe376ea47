namespace SplitFrozen.Trainer.Hosting;

/// <summary>
/// Makes a trainer the single writer of a run's folder: a lock of the file system, which ends with the process however it ends.
/// A trainer whose lease passed to another while it was stalled still holds it, so the other cannot write beside it.
/// </summary>
internal sealed class RunFolderLock : IDisposable
{
    private readonly FileStream _file;

    private RunFolderLock(FileStream file) => _file = file;

    /// <summary>Takes the folder; null while another process holds it.</summary>
    /// <exception cref="TrainerException">The folder cannot be written.</exception>
    public static RunFolderLock? TryTake(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
            return new RunFolderLock(new FileStream(Path.Combine(folder, "trainer.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new TrainerException($"The run's folder cannot be written: {exception.Message} Set Trainer__Folder to one that can.", exception);
        }
        catch (IOException)
        {
            return null;
        }
    }

    public void Dispose() => _file.Dispose();
}
