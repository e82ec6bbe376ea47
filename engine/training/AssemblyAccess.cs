using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("SplitFrozen.Training.Tests")]
