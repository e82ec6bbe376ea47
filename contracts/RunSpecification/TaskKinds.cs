namespace SplitFrozen.Contracts.RunSpecification;

/// <summary>The values of <c>task.kind</c> and what is known of each before its data is read.</summary>
public static class TaskKinds
{
    /// <summary>SST-2: one sentence, negative or positive.</summary>
    public const string Sst2 = "sst2";

    /// <summary>MRPC: two sentences, paraphrases or not.</summary>
    public const string Mrpc = "mrpc";

    /// <summary>MNLI: premise and hypothesis; entailment, neutral or contradiction.</summary>
    public const string Mnli = "mnli";

    /// <summary>GSM8K: a question answered by a worked solution that ends in <c>#### number</c>.</summary>
    public const string Gsm8k = "gsm8k";

    /// <summary>The user's own classification data, by named columns.</summary>
    public const string Classification = "classification";

    /// <summary>The user's own prompts and answers, by template.</summary>
    public const string Instruction = "instruction";

    /// <summary>All kinds, in the order of the documentation.</summary>
    public static IReadOnlyList<string> All { get; } = [Sst2, Mrpc, Mnli, Gsm8k, Classification, Instruction];

    /// <summary>True for the kinds that train next-token prediction rather than a class.</summary>
    public static bool IsLanguageModel(string kind) => kind is Gsm8k or Instruction;

    /// <summary>Number of classes that the kind fixes; null where the spec or the data decides, and for language modelling.</summary>
    public static int? FixedClassCount(string kind) => kind switch
    {
        Sst2 or Mrpc => 2,
        Mnli => 3,
        _ => null,
    };
}
