using SplitFrozen.Contracts.Safetensors;
using SplitFrozen.Training.Checkpoints;
using SplitFrozen.Training.Optimization;
using TorchSharp;
using static TorchSharp.torch;

namespace SplitFrozen.Training.Tests.Checkpoints;

public sealed class CheckpointFolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void ReadLatest_AfterFiveOfTenSteps_ContinuesToTheSameBytes()
    {
        using var straight = new Learner();
        straight.Train(0, 10);

        using (var first = new Learner())
        {
            first.Train(0, 5);
            _ = new CheckpointFolder(_folder.Path).Write(Position(5), first.Optimizer);
        }

        using var second = new Learner();
        var position = new CheckpointFolder(_folder.Path).ReadLatest(second.Optimizer, "spec");
        Assert.Equal(5, position!.Step);
        second.Train(5, 10);

        Assert.Equal(straight.Bytes(), second.Bytes());
    }

    [Fact]
    public void Write_Position_ComesBackWhole()
    {
        using var learner = new Learner();
        var position = Position(3) with { NextSequence = 7, Epoch = 2, Fence = 4, AppliedSamples = [9, 1L << 62, 0], Notes = "{\"loss\":[0.5]}" };
        _ = new CheckpointFolder(_folder.Path).Write(position, learner.Optimizer);
        var read = new CheckpointFolder(_folder.Path).ReadLatest(learner.Optimizer, "spec")!;
        Assert.Equal(position.AppliedSamples, read.AppliedSamples);
        Assert.Equal(position, read with { AppliedSamples = position.AppliedSamples });
    }

    [Fact]
    public void Write_ThreeTimes_KeepsTheLastTwo()
    {
        using var learner = new Learner();
        var checkpoints = new CheckpointFolder(_folder.Path);
        foreach (var step in (long[])[1, 2, 10])
        {
            _ = checkpoints.Write(Position(step), learner.Optimizer);
        }

        Assert.Equal([10L, 2L], checkpoints.Files().Select(file => file.Step));
        Assert.Equal(2, Directory.GetFiles(_folder.Path).Length);
    }

    [Fact]
    public void Write_DiskFullHalfWay_LeavesTheOldOneAndNoTemporaryFile()
    {
        using var learner = new Learner();
        _ = new CheckpointFolder(_folder.Path).Write(Position(1), learner.Optimizer);
        var full = new CheckpointFolder(_folder.Path) { OpenStream = path => new FullDisk(path) };
        learner.Train(0, 1);

        var exception = Assert.Throws<CheckpointException>(() => full.Write(Position(2), learner.Optimizer));

        Assert.Contains("No space left", exception.Message);
        Assert.Equal(1, new CheckpointFolder(_folder.Path).ReadLatest(learner.Optimizer, "spec")!.Step);
        _ = Assert.Single(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void ReadLatest_PartialTemporaryFileOfACrash_IsIgnored()
    {
        using var learner = new Learner();
        var written = new CheckpointFolder(_folder.Path).Write(Position(1), learner.Optimizer);
        File.WriteAllBytes(_folder.File("checkpoint-0000000002.safetensors.tmp"), File.ReadAllBytes(written)[..100]);
        Assert.Equal(1, new CheckpointFolder(_folder.Path).ReadLatest(learner.Optimizer, "spec")!.Step);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(40)]
    [InlineData(0)]
    public void ReadLatest_NewestCutOff_FallsBackWithANotice(int keep)
    {
        using var learner = new Learner();
        var checkpoints = new CheckpointFolder(_folder.Path);
        _ = checkpoints.Write(Position(1), learner.Optimizer);
        var newest = checkpoints.Write(Position(2), learner.Optimizer);
        var bytes = File.ReadAllBytes(newest);
        File.WriteAllBytes(newest, keep < 0 ? bytes[..^1] : bytes[..keep]);
        var notices = new List<string>();

        Assert.Equal(1, checkpoints.ReadLatest(learner.Optimizer, "spec", notices.Add)!.Step);
        Assert.Contains(newest, Assert.Single(notices));
    }

    [Fact]
    public void ReadLatest_AnyByteFlipped_IsRefused()
    {
        using var learner = new Learner();
        var checkpoints = new CheckpointFolder(_folder.Path);
        var file = checkpoints.Write(Position(1), learner.Optimizer);
        var bytes = File.ReadAllBytes(file);
        for (var i = 0; i < bytes.Length; i += 3)
        {
            var damaged = bytes.ToArray();
            damaged[i] ^= 4;
            File.WriteAllBytes(file, damaged);
            _ = Assert.Throws<CheckpointException>(() => checkpoints.ReadLatest(learner.Optimizer, "spec"));
        }
    }

    [Fact]
    public void ReadLatest_OtherRun_IsRefusedWithoutTouchingTheOptimizer()
    {
        using var learner = new Learner();
        var checkpoints = new CheckpointFolder(_folder.Path);
        _ = checkpoints.Write(Position(1), learner.Optimizer);
        learner.Train(0, 1);
        var before = learner.Bytes();
        var exception = Assert.Throws<CheckpointException>(() => checkpoints.ReadLatest(learner.Optimizer, "another"));
        Assert.Contains("other settings", exception.Message);
        Assert.Equal(before, learner.Bytes());
    }

    [Fact]
    public void ReadLatest_OtherShape_NamesTheTensor()
    {
        using var learner = new Learner();
        var checkpoints = new CheckpointFolder(_folder.Path);
        _ = checkpoints.Write(Position(1), learner.Optimizer);
        using var wider = new Learner(columns: 4);
        var exception = Assert.Throws<CheckpointException>(() => checkpoints.ReadLatest(wider.Optimizer, "spec"));
        Assert.Contains("'value.matrix' of shape [2, 4]", exception.Message);
    }

    [Fact]
    public void ReadLatest_ForeignSafetensors_IsRefused()
    {
        using var learner = new Learner();
        var writer = new SafetensorsWriter();
        writer.Add("weight", ElementType.Float32, [1], new byte[4]);
        using (var stream = File.Create(_folder.File("checkpoint-1.safetensors")))
        {
            writer.WriteTo(stream);
        }

        _ = Assert.Throws<CheckpointException>(() => new CheckpointFolder(_folder.Path).ReadLatest(learner.Optimizer, "spec"));
    }

    [Fact]
    public void ReadLatest_NoCheckpoint_IsNull()
    {
        using var learner = new Learner();
        Assert.Null(new CheckpointFolder(_folder.File("absent")).ReadLatest(learner.Optimizer, "spec"));
    }

    private static TrainingPosition Position(long step) => new() { Step = step, SpecificationHash = "spec" };

    /// <summary>A small deterministic regression, built anew as a new process would.</summary>
    private sealed class Learner : IDisposable
    {
        private readonly DisposeScope _scope = NewDisposeScope();
        private readonly Tensor _matrix;
        private readonly Tensor _bias;

        public Learner(int columns = 3)
        {
            var flat = new FlatTensors(
                ("matrix", linspace(-1, 1, 2 * columns, ScalarType.Float32).reshape(2, columns)), ("bias", zeros(2)));
            (_matrix, _bias) = (flat.Parameters[0].Value, flat.Parameters[1].Value);
            Optimizer = flat.Optimizer(new AdamWOptions());
        }

        public AdamW Optimizer { get; }

        public void Train(int from, int to)
        {
            for (var step = from; step < to; step++)
            {
                using var scope = NewDisposeScope();
                var input = linspace(step, step + 1, _matrix.shape[1], ScalarType.Float32);
                (_matrix.matmul(input) + _bias - step).square().sum().backward();
                _ = Optimizer.ClipGradients(1.0);
                Optimizer.Step(0.01);
            }
        }

        public byte[] Bytes() => [.. Optimizer.State().Parameters.SelectMany(state => (byte[])[
            .. Torch.TensorBytes.ToBytes(state.Value), .. Torch.TensorBytes.ToBytes(state.FirstMoment), .. Torch.TensorBytes.ToBytes(state.SecondMoment)])];

        public void Dispose()
        {
            Optimizer.Dispose();
            _scope.Dispose();
        }
    }

    /// <summary>A file on a disk with room for 200 bytes.</summary>
    private sealed class FullDisk(string path) : Stream
    {
        private readonly FileStream _file = File.Create(path);

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => _file.Length;

        public override long Position
        {
            get => _file.Position;
            set => throw new NotSupportedException();
        }

        public override void Write(byte[] buffer, int offset, int count)
        {
            var room = (int)Math.Min(200 - Position, count);
            _file.Write(buffer, offset, room);
            if (room < count)
            {
                throw new IOException("No space left on device");
            }
        }

        public override void Flush() => _file.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            _file.Dispose();
            base.Dispose(disposing);
        }
    }
}
