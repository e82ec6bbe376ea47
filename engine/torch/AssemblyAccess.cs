using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("SplitFrozen.Torch.Tests")]
