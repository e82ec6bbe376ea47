using System.Runtime.CompilerServices;

namespace SplitFrozen.Processes.Tests;

/// <summary>
/// Settings of the runtime for every process that these tests start: they live for seconds, so compiling their methods a second time, and
/// counting for it, would take half of all processor time.
/// </summary>
internal static class QuickStart
{
    [ModuleInitializer]
    internal static void Set()
    {
        Environment.SetEnvironmentVariable("DOTNET_TieredPGO", "0");
        Environment.SetEnvironmentVariable("DOTNET_TC_CallCountThreshold", "1000");
    }
}
