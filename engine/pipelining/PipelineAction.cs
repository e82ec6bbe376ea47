namespace SplitFrozen.Pipelining;

/// <summary>What a stage does with a micro-batch.</summary>
public enum ActionKind
{
    /// <summary>F: forward; keeps what the backward needs.</summary>
    Forward,

    /// <summary>B: gradients of the stage's input.</summary>
    BackwardInput,

    /// <summary>W: gradients of the stage's own weights; frees what F kept.</summary>
    BackwardWeight,

    /// <summary>B and W in one: the gradient of the input goes on only when both are done.</summary>
    Backward,

    /// <summary>Waits for the activations of the stage before.</summary>
    ReceiveActivation,

    /// <summary>Hands activations to the stage behind; does not wait.</summary>
    SendActivation,

    /// <summary>Waits for the gradient from the stage behind.</summary>
    ReceiveGradient,

    /// <summary>Hands the gradient to the stage before; does not wait.</summary>
    SendGradient,
}

/// <summary>One action of a stage.</summary>
/// <param name="Kind">What.</param>
/// <param name="MicroBatch">With which micro-batch of the step, from 0.</param>
public readonly record struct PipelineAction(ActionKind Kind, int MicroBatch)
{
    private static readonly string[] s_names = ["F", "B", "W", "BW", "<a", "a>", "<g", "g>"];

    /// <summary>Whether the action computes; else it sends or receives.</summary>
    public bool Computes => Kind <= ActionKind.Backward;

    /// <summary>As in schedule files: <c>F3</c>, <c>B3</c>, <c>W3</c>, <c>BW3</c>; <c>&lt;a3</c> and <c>a&gt;3</c> for activations received and sent, <c>g</c> for gradients.</summary>
    public override string ToString() => $"{s_names[(int)Kind]}{MicroBatch}";
}
