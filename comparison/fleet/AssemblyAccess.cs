using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("SplitFrozen.Comparison.Fleet.Tests")]
