using Mono.Cecil;

namespace SplitFrozen.Architecture.Tests;

/// <summary>
/// TorchSharp does not keep a temporary <c>Scalar</c> alive while an operation reads it (see <c>ScalarOperations</c>). Holds, in the compiled code, that
/// nobody makes one but <c>ScalarOperations</c>, and that nobody calls what makes one within TorchSharp.
/// </summary>
public sealed class ScalarLifetimeTests
{
    private const string Scalar = "TorchSharp.Scalar";
    private static readonly string s_binaries = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", ".."));
    private static readonly string s_configuration = new DirectoryInfo(AppContext.BaseDirectory).Name;

    public static TheoryData<string> Assemblies =>
    [
        "Torch", "Models", "Training", "Comparison.Leakage", "Comparison.Methods", "Comparison.Study", "DeviceWorker", "Trainer",
    ];

    [Theory]
    [MemberData(nameof(Assemblies))]
    public void Code_OutsideScalarOperations_MakesNoTemporaryScalar(string assembly)
    {
        var makers = MakersInTorchSharp();
        using var module = ModuleDefinition.ReadModule(Dll(assembly, $"SplitFrozen.{assembly}.dll"));
        var calls = Calls(module).Where(call => call.Callee.DeclaringType.FullName == Scalar || makers.Contains(call.Callee.FullName)).ToArray();
        Assert.Empty(calls.Where(call => !IsScalarOperations(call.Caller.DeclaringType)).Select(call => $"{call.Caller.FullName} calls {call.Callee.FullName}"));

        // What is looked for is there to be found.
        Assert.Equal(assembly == "Torch", calls.Length > 0);
        Assert.Contains("TorchSharp.torch/Tensor TorchSharp.torch/Tensor::add_(TorchSharp.torch/Tensor)", makers);
    }

    private static bool IsScalarOperations(TypeDefinition type) => type.Name == "ScalarOperations" || (type.DeclaringType is { } outer && IsScalarOperations(outer));

    /// <summary>Full names of TorchSharp's methods that make a scalar of their own, directly or by others.</summary>
    private static HashSet<string> MakersInTorchSharp()
    {
        using var module = ModuleDefinition.ReadModule(Dll("Trainer", "TorchSharp.dll"));
        var callers = Calls(module).ToLookup(call => call.Callee.FullName, call => call.Caller.FullName);
        var makers = new HashSet<string>(StringComparer.Ordinal);
        var open = new Stack<string>(callers
            .Where(callee => callee.Key.Contains($"{Scalar}::op_Implicit(", StringComparison.Ordinal) || callee.Key.Contains($"{Scalar}::.ctor(", StringComparison.Ordinal)
                || callee.Key.Contains("::ToScalar(", StringComparison.Ordinal))
            .SelectMany(callee => callee));
        while (open.TryPop(out var maker))
        {
            // The constructors and conversions of the type itself are what is looked for, not a way to it.
            if (!maker.Contains($"{Scalar}::", StringComparison.Ordinal) && makers.Add(maker))
            {
                foreach (var caller in callers[maker])
                {
                    open.Push(caller);
                }
            }
        }

        return makers;
    }

    private static IEnumerable<(MethodDefinition Caller, MethodReference Callee)> Calls(ModuleDefinition module) =>
        from type in WithNested(module.Types)
        from method in type.Methods
        where method.HasBody
        from instruction in method.Body.Instructions
        where instruction.Operand is MethodReference
        select (method, (MethodReference)instruction.Operand);

    private static IEnumerable<TypeDefinition> WithNested(IEnumerable<TypeDefinition> types) => types.SelectMany(type => WithNested(type.NestedTypes).Prepend(type));

    private static string Dll(string project, string file) => Path.Combine(s_binaries, $"SplitFrozen.{project}", s_configuration, file);
}
