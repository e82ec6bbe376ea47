using SplitFrozen.Torch.Kernels;
using SplitFrozen.Torch;
using static TorchSharp.torch;

namespace SplitFrozen.Models.Operations;

/// <summary>
/// Token embedding plus, for GPT-2, position embedding: packed ids to rows <c>[ΣT, H]</c>. Frozen, it gathers the rows of a batch
/// from the file instead of holding the table; as parameters, it holds both tables and gives them gradients.
/// </summary>
internal sealed class Embedding : IDisposable
{
    private readonly ModelFolder _folder;
    private readonly ScalarType _type;
    private readonly LayerWeight? _positions;

    /// <summary>The frozen embedding of a folder.</summary>
    internal Embedding(ModelFolder folder, ScalarType type)
    {
        _folder = folder;
        _type = type;
        folder.CheckShape(TableName(folder.Config), folder.Config.VocabularySize, folder.Config.Width);
        if (folder.Config.Family == ModelFamily.Gpt2)
        {
            _positions = new LayerWeight(folder.Load("wpe.weight", type, PositionShape(folder.Config)).DetachFromDisposeScope());
        }
    }

    /// <summary>An embedding that trains.</summary>
    internal Embedding(ModelFolder folder, ScalarType type, ParameterStore store)
    {
        _folder = folder;
        _type = type;
        var name = TableName(folder.Config);
        Table = store.Add(name, folder.Load(name, type, folder.Config.VocabularySize, folder.Config.Width));
        if (folder.Config.Family == ModelFamily.Gpt2)
        {
            _positions = new LayerWeight(store.Add("wpe.weight", folder.Load("wpe.weight", type, PositionShape(folder.Config))));
        }
    }

    /// <summary>The token table, if it trains.</summary>
    internal Parameter? Table { get; }

    /// <summary>Canonical name of the token table.</summary>
    internal static string TableName(TransformerConfig config) => config.Family == ModelFamily.Gpt2 ? "wte.weight" : "embed_tokens.weight";

    /// <summary>Rows of packed ids; ids and lengths are checked.</summary>
    /// <exception cref="ArgumentException">The ids do not fit the layout, the vocabulary or the positions.</exception>
    internal Tensor Forward(int[] packedTokens, SequenceLayout layout)
    {
        Check(packedTokens, layout);
        using var scope = NewDisposeScope();
        var rows = Table is null
            ? _folder.LoadRows(TableName(_folder.Config), packedTokens, _type)
            : Table.Value.index_select(0, Ids(packedTokens));
        if (_positions is not null)
        {
            _ = rows.AddInPlace(_positions.Value.index_select(0, layout.Positions));
        }

        return rows.MoveToOuterDisposeScope();
    }

    /// <summary>Puts the gradients of the tables off.</summary>
    internal void Backward(Tensor gradient, int[] packedTokens, SequenceLayout layout, WeightGradients deferred)
    {
        deferred.Defer(
            held =>
            {
                AddRows(Table!.GradientToAddTo(), held[1], held[0]);
                if (_positions is not null)
                {
                    AddRows(_positions.Parameter!.GradientToAddTo(), held[2], held[0]);
                }
            },
            gradient, Ids(packedTokens), layout.Positions);
    }

    public void Dispose() => _positions?.Dispose();

    private static Tensor Ids(int[] packedTokens) => tensor(Array.ConvertAll(packedTokens, id => (long)id));

    private static void AddRows(Tensor table, Tensor index, Tensor rows)
    {
        if (table.dtype == ScalarType.Float32)
        {
            RowKernels.AddRows(table, index.data<long>().ToArray(), rows);
        }
        else
        {
            _ = table.AddRowsInPlace(index, rows);
        }
    }

    private static long[] PositionShape(TransformerConfig config) => [config.MaximumPositions, config.Width];

    private void Check(int[] packedTokens, SequenceLayout layout)
    {
        if (packedTokens.Length != layout.Tokens)
        {
            throw new ArgumentException($"There are {packedTokens.Length} token ids, but the layout has {layout.Tokens} tokens.", nameof(packedTokens));
        }

        if (layout.FirstPosition + layout.MaximumLength > _folder.Config.MaximumPositions)
        {
            throw new ArgumentException(
                $"A sequence has {layout.MaximumLength} tokens; the model has {_folder.Config.MaximumPositions} positions.", nameof(layout));
        }

        var outside = Array.FindIndex(packedTokens, id => id < 0 || id >= _folder.Config.VocabularySize);
        if (outside >= 0)
        {
            throw new ArgumentException(
                $"Token id {packedTokens[outside]} is outside the model's vocabulary of {_folder.Config.VocabularySize}; the tokenizer belongs to another model.",
                nameof(packedTokens));
        }
    }
}
