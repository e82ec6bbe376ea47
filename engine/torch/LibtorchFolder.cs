using System.Reflection;
using System.Security.Cryptography;
using System.Text;

namespace SplitFrozen.Torch;

/// <summary>
/// Finds libtorch and TorchSharp's native bridge, and lays out a folder of symbolic links in the user's cache in which the
/// bridge finds libtorch beside it (its run path is <c>$ORIGIN</c>). Nothing large is copied.
/// </summary>
internal sealed class LibtorchFolder
{
    /// <summary>Environment variable that names another folder with libtorch (a CUDA build, or the one of a Python package).</summary>
    internal const string OverrideVariable = "SPLITFROZEN_LIBTORCH";

    internal const string BridgeName = "libLibTorchSharp.so";
    private const string RuntimeFolder = "runtimes/linux-x64/native";
    private static readonly string[] _requiredFiles = ["libtorch_cpu.so", "libtorch.so", "libc10.so"];

    private readonly string _libtorch;
    private readonly string _cache;

    internal LibtorchFolder(string libtorch, string bridge, string cache)
    {
        var missing = _requiredFiles.Where(file => !File.Exists(Path.Combine(libtorch, file))).ToArray();
        if (missing.Length > 0)
        {
            throw new LibtorchException(
                $"libtorch was not found: {libtorch} has no {string.Join(", ", missing)}. Run 'dotnet restore' where this program "
                + $"was built, or set {OverrideVariable} to a folder with the libtorch 2.10 shared libraries for linux-x64.");
        }

        if (!File.Exists(bridge))
        {
            throw new LibtorchException(
                $"TorchSharp's native bridge was not found at {bridge}. Run 'dotnet restore' where this program was built, "
                + $"or put {BridgeName} of TorchSharp 0.107.0 into the folder that {OverrideVariable} names.");
        }

        _libtorch = libtorch;
        _cache = cache;
        Bridge = bridge;
    }

    /// <summary>Path of the bridge as it was delivered.</summary>
    internal string Bridge { get; }

    /// <summary>Finds the two parts from the environment, beside the program, or in the package cache it was built from.</summary>
    internal static LibtorchFolder Find()
    {
        var beside = Path.Combine(AppContext.BaseDirectory, RuntimeFolder);
        var libtorch = Environment.GetEnvironmentVariable(OverrideVariable);
        var bridge = string.IsNullOrEmpty(libtorch) ? null : FirstExisting(Path.Combine(libtorch, BridgeName));
        if (string.IsNullOrEmpty(libtorch))
        {
            libtorch = File.Exists(Path.Combine(beside, _requiredFiles[0])) ? beside : PackageFolder("LibtorchPackage");
        }

        bridge ??= FirstExisting(Path.Combine(beside, BridgeName)) ?? Path.Combine(PackageFolder("TorchSharpPackage"), BridgeName);
        return new LibtorchFolder(Path.GetFullPath(libtorch), bridge, UserCache());
    }

    /// <summary>Makes the folder of links and puts the bridge into it, as delivered (a link) or edited (a file); gives its path.</summary>
    internal string LayOut(byte[]? editedBridge)
    {
        var key = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{_libtorch}\n{Bridge}")))[..16];
        var folder = Path.Combine(_cache, editedBridge is null ? $"libtorch-{key}" : $"libtorch-{key}-relaxed");
        try
        {
            Directory.CreateDirectory(folder);
            foreach (var file in Directory.EnumerateFiles(_libtorch))
            {
                if (Path.GetFileName(file) != BridgeName)
                {
                    Link(file, Path.Combine(folder, Path.GetFileName(file)));
                }
            }

            var placed = Path.Combine(folder, BridgeName);
            if (editedBridge is null)
            {
                Link(Bridge, placed);
            }
            else
            {
                Write(editedBridge, placed);
            }

            return placed;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new LibtorchException(
                $"The folder {folder}, which holds links to libtorch, could not be written: {exception.Message} "
                + "Set XDG_CACHE_HOME to a folder that this user may write.", exception);
        }
    }

    private static void Link(string target, string path)
    {
        var existing = new FileInfo(path);
        if (existing.LinkTarget == target)
        {
            return;
        }

        // Another process may do the same at this moment: each makes its own entry and renames it into place.
        var temporary = $"{path}.{Guid.NewGuid():N}";
        File.CreateSymbolicLink(temporary, target);
        File.Move(temporary, path, overwrite: true);
    }

    private static void Write(byte[] content, string path)
    {
        if (File.Exists(path) && File.ReadAllBytes(path).AsSpan().SequenceEqual(content))
        {
            return;
        }

        var temporary = $"{path}.{Guid.NewGuid():N}";
        File.WriteAllBytes(temporary, content);
        File.Move(temporary, path, overwrite: true);
    }

    private static string? FirstExisting(string path) => File.Exists(path) ? path : null;

    private static string PackageFolder(string metadataKey)
    {
        var recorded = typeof(LibtorchFolder).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
            .FirstOrDefault(attribute => attribute.Key == metadataKey)?.Value;
        return Path.Combine(recorded ?? "", RuntimeFolder);
    }

    private static string UserCache()
    {
        var root = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (string.IsNullOrEmpty(root))
        {
            root = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        }

        return Path.Combine(root, "splitfrozen");
    }
}
