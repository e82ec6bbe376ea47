using CsCheck;

namespace SplitFrozen.Tokenizers.Tests;

public sealed class SentencePieceTokenizerTests
{
    [Fact]
    public void Encode_Stories_EqualsIndependentIds()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder.File("tokenizer.model"), StoriesModel.Read().ToBytes());
        var tokenizer = TokenizerFolder.Open(folder.Path);

        References.AssertAll(tokenizer, "stories");
        Assert.Equal(512, tokenizer.VocabularySize);
        Assert.Equal(1, tokenizer.BeginOfTextId);
        Assert.Equal(2, tokenizer.EndOfTextId);
    }

    [Fact]
    public void Encode_AnyUnicodeText_EqualsMicrosoftsTokenizer()
    {
        var model = StoriesModel.Read();
        using var stream = new MemoryStream(model.ToBytes());
        var theirs = Microsoft.ML.Tokenizers.SentencePieceTokenizer.Create(stream, addBeginningOfSentence: false, addEndOfSentence: false);
        var ours = Open(model.ToBytes());

        UnicodeTexts.Any.Sample(text => ours.Encode(text).SequenceEqual(theirs.EncodeToIds(text)), iter: 3000, threads: 1);
    }

    [Fact]
    public void DecodeOfEncode_AnyUnicodeText_IsTheText()
    {
        var tokenizer = Open(StoriesModel.Read().ToBytes());

        UnicodeTexts.Any.Sample(text => tokenizer.Decode(tokenizer.Encode(text)) == text.Replace('\u2581', ' '), iter: 3000, threads: 1);
    }

    [Theory]
    [InlineData("<s>")]
    [InlineData("</s>")]
    [InlineData("<0x41>")]
    [InlineData("<unk>")]
    public void Encode_NamesOfSpecialTokens_AreOrdinaryText(string text)
    {
        var tokenizer = Open(new SentencePieceModel(StoriesModel.HostilePieces()).ToBytes());

        var ids = tokenizer.Encode(text);

        Assert.DoesNotContain(ids, id => id < 3);
        Assert.DoesNotContain(3 + 0x41, ids);
        Assert.Equal(text, tokenizer.Decode(ids));
    }

    [Fact]
    public void Encode_WithoutDummyPrefix_AddsNoSpace()
    {
        var with = Open(new SentencePieceModel(StoriesModel.HostilePieces()).ToBytes());
        var without = Open(new SentencePieceModel(StoriesModel.HostilePieces()) { AddDummyPrefix = false }.ToBytes());

        Assert.Equal([259, 261], with.Encode("s"));
        Assert.Equal([261], without.Encode("s"));
        Assert.Equal(" s", without.Decode(without.Encode(" s")));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(512)]
    public void Decode_IdOutOfRange_IsRefused(int id) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(StoriesModel.Read().ToBytes()).Decode([300, id]));

    [Fact]
    public void Encode_HalfOfASurrogatePair_IsRefused() =>
        Assert.Throws<ArgumentException>(() => Open(new SentencePieceModel(StoriesModel.HostilePieces()).ToBytes()).Encode("a\ud800"));

    [Fact]
    public void Open_DamagedModel_IsRefusedWithoutAnyOtherError()
    {
        var whole = new SentencePieceModel(StoriesModel.HostilePieces()).ToBytes();
        using var folder = new TemporaryFolder();
        for (var length = 0; length < whole.Length; length += 7)
        {
            File.WriteAllBytes(folder.File("tokenizer.model"), whole[..length]);
            Assert.Throws<TokenizerFormatException>(() => TokenizerFolder.Open(folder.Path));
        }
    }

    [Fact]
    public void Open_MissingBytePiece_NamesTheByte() =>
        AssertRefused(StoriesModel.HostilePieces().Where(piece => piece.Text != "<0x41>"), "0x41");

    [Fact]
    public void Open_UserDefinedPiece_IsRefused() =>
        AssertRefused(StoriesModel.HostilePieces().Append(new SentencePiece("<x>", 0, SentencePieceKind.UserDefined)), "UserDefined");

    [Fact]
    public void Open_PieceTwice_IsRefused() =>
        AssertRefused(StoriesModel.HostilePieces().Append(new SentencePiece("s", 0, SentencePieceKind.Normal)), "twice");

    [Fact]
    public void Open_SpecialIdBeyondThePieces_IsRefused()
    {
        var pieces = StoriesModel.HostilePieces();

        AssertRefused(new SentencePieceModel(pieces) { EndOfTextId = pieces.Count }.ToBytes(), $"names {pieces.Count}");
    }

    [Fact]
    public void Open_UnigramModel_IsRefused() =>
        AssertRefused(new SentencePieceModel(StoriesModel.HostilePieces()).ToBytes(modelType: 1), "unigram");

    [Fact]
    public void Open_ModelThatNormalisesText_IsRefused()
    {
        var model = new SentencePieceModel(StoriesModel.HostilePieces());

        AssertRefused(model.ToBytes(characterMap: "map"), "character map");
        AssertRefused(model.ToBytes(removeExtraSpaces: true), "extra spaces");
    }

    private static void AssertRefused(IEnumerable<SentencePiece> pieces, string expected) =>
        AssertRefused(new SentencePieceModel([.. pieces]).ToBytes(), expected);

    private static void AssertRefused(byte[] model, string expected)
    {
        var fault = Assert.Throws<TokenizerFormatException>(() => Open(model));
        Assert.Contains("tokenizer.model", fault.Message, StringComparison.Ordinal);
        Assert.Contains(expected, fault.Message, StringComparison.Ordinal);
    }

    private static ITextTokenizer Open(byte[] model)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder.File("tokenizer.model"), model);
        return TokenizerFolder.Open(folder.Path);
    }
}
