using SplitFrozen.Deploy.Tests.Checks;
using SplitFrozen.Deploy.Tests.Rendering;

namespace SplitFrozen.Deploy.Tests;

public sealed class ContainerfileTests
{
    [Fact]
    public void Containerfile_AsItIs_PassesTheCheck() => Assert.Empty(ContainerfileCheck.Faults(Containerfile.Parse(Containerfile.Text)));

    [Fact]
    public void Images_OfComposeFile_AreBuiltFromTheirStages()
    {
        var stages = Containerfile.Parse(Containerfile.Text).Stages.Select(stage => stage.Name).ToArray();
        var built = Compose.Read()["services"]!.AsObject().Where(service => service.Value!["build"] is not null).ToArray();
        Assert.Equal(4, built.Length);
        Assert.All(built, service => Assert.Contains((string)service.Value!["build"]!["target"]!, stages));
        Assert.All(built, service => Assert.Contains($"splitfrozen/{service.Value!["build"]!["target"]}:", (string)service.Value!["image"]!, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("sdk:10.0-noble AS", "sdk AS", "has no version")]
    [InlineData("COPY contracts contracts\n", "", "contracts is needed to build, but not copied")]
    [InlineData("COPY engine engine", "COPY engines engine", "copies engines, which is not there")]
    [InlineData("COPY services services", "COPY services services\nCOPY bench bench", "copies bench, which the engine is not sent")]
    [InlineData("--from=build /publish/trainer", "--from=build /published/trainer", "does not make")]
    [InlineData("dotnet publish services/trainer", "dotnet publish services/trainers", "services/trainers is published, but not there")]
    [InlineData("\"SplitFrozen.Trainer.dll\"", "\"Trainer.dll\"", "trainer does not start SplitFrozen.Trainer.dll")]
    [InlineData("--from=build /publish/trainer", "--from=build /publish/coordinator", "trainer is not made of services/trainer")]
    [InlineData("USER 1654", "USER 0", "does not run as user 1654")]
    [InlineData("native/libc10.so", "native/libc11.so", "libc10.so is loaded")]
    [InlineData("native/libc10.so", "native/libc11.so", "libc11.so is not one file of the package")]
    public void Containerfile_BrokenInOnePlace_IsFound(string text, string broken, string fault)
    {
        Assert.Contains(text, Containerfile.Text, StringComparison.Ordinal);
        var faults = ContainerfileCheck.Faults(Containerfile.Parse(Containerfile.Text.Replace(text, broken, StringComparison.Ordinal)));
        Assert.Contains(faults, found => found.Contains(fault, StringComparison.Ordinal));
    }
}
