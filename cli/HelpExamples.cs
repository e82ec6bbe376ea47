using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace SplitFrozen.Cli;

/// <summary>Adds each command's examples to its <c>--help</c>.</summary>
internal static class HelpExamples
{
    private static readonly Dictionary<string, string[]> s_examples = new(StringComparer.Ordinal)
    {
        [""] =
        [
            "splitfrozen run samples/demo.yaml",
            "splitfrozen inspect runs/demo/adapter",
        ],
        ["run"] =
        [
            "splitfrozen run samples/demo.yaml",
            "splitfrozen run samples/sst2.yaml --set training.epochs=3 --set clients.partition=classes",
            "splitfrozen run samples/demo.yaml --out /tmp/demo --json > events.jsonl",
            "splitfrozen run samples/demo.yaml          (again: goes on after Ctrl-C, or says that the run is finished)",
        ],
        ["compare"] =
        [
            "splitfrozen compare samples/compare-sst2.yaml samples/compare-mrpc.yaml",
            "splitfrozen compare samples/demo.yaml --methods splitfrozen,fedlora --partitions iid,classes:1 --seeds 1 --learning-rates 1e-3",
        ],
        ["eval"] =
        [
            "splitfrozen eval runs/demo/adapter --spec runs/demo/spec.yaml",
            "splitfrozen eval runs/gsm8k/adapter --spec samples/gsm8k.yaml --set task.generate_samples=50 --json",
        ],
        ["generate"] =
        [
            "splitfrozen generate models/stories260K --prompt \"Once upon a time\"",
            "splitfrozen generate models/stories260K --adapter runs/gsm8k/adapter --prompt \"Question: ...\" --tokens 128",
        ],
        ["export"] =
        [
            "splitfrozen export runs/demo --format peft --out adapter",
            "splitfrozen export runs/demo --format merged --out merged-model",
        ],
        ["inspect"] =
        [
            "splitfrozen inspect runs/demo/adapter",
            "splitfrozen inspect samples/base-model --json",
        ],
        ["pretrain"] =
        [
            "splitfrozen pretrain --text corpus.txt.gz --vocabulary 4096 --width 256 --blocks 6 --heads 4 --tokens 20M --out models/small",
            "splitfrozen pretrain --text novels.txt.gz=1 --column train.tsv:sentence=4 --tokens 50M --threads 2 --out models/small",
        ],
        ["leakage"] =
        [
            "splitfrozen leakage samples/demo.yaml",
            "splitfrozen leakage samples/sst2.yaml --cuts 0,2,4 --wire f16,int8 --samples 50 --json",
        ],
        ["schedule"] =
        [
            "splitfrozen schedule --stages 4 --micro-batches 8 --kind zb",
            "splitfrozen schedule --stages 2 --micro-batches 6 --kind 1f1b --devices 1 --costs 1,1.2,0.05 --svg timeline.svg",
        ],
        ["submit"] =
        [
            "splitfrozen submit samples/demo.yaml --watch",
            "splitfrozen submit samples/sst2.yaml --set training.epochs=1 --coordinator http://coordinator:8080",
        ],
        ["watch"] = ["splitfrozen watch demo-1a2b3c4d"],
        ["runs"] = ["splitfrozen runs", "splitfrozen runs --json"],
        ["devices"] = ["splitfrozen devices"],
        ["enroll"] =
        [
            "SPLITFROZEN_BROKER_ADMIN=admin:... splitfrozen device enroll pi-3 --management https://broker:15671 --broker amqps://broker:5671/ --ca ca.pem --out pi-3.kit.json",
        ],
        ["revoke"] = ["SPLITFROZEN_BROKER_ADMIN=admin:... splitfrozen device revoke pi-3 --management https://broker:15671 --ca ca.pem"],
        ["list"] = ["SPLITFROZEN_BROKER_ADMIN=admin:... splitfrozen device list --management https://broker:15671 --ca ca.pem"],
        ["cancel"] = ["splitfrozen cancel demo-1a2b3c4d"],
        ["resume"] = ["splitfrozen resume demo-1a2b3c4d"],
        ["delete"] = ["splitfrozen delete demo-1a2b3c4d"],
        ["dead-letters"] = ["splitfrozen dead-letters", "splitfrozen dead-letters --purge"],
        ["token"] = ["splitfrozen token create --name alice --role submit"],
        ["create"] = ["splitfrozen token create --name alice --role submit", "splitfrozen token create --name operator --role admin --number 1 --json"],
        ["download"] = ["splitfrozen download demo-1a2b3c4d --out adapter"],
        ["convert"] = ["splitfrozen convert llama2c stories260K.bin --tokenizer tok512.bin --out models/stories260K"],
        ["llama2c"] = ["splitfrozen convert llama2c stories260K.bin --tokenizer tok512.bin --out models/stories260K"],
    };

    /// <summary>Puts an examples section below the help of the root command and all its verbs.</summary>
    public static void Attach(RootCommand root)
    {
        foreach (var option in root.Options.OfType<HelpOption>())
        {
            option.Action = new HelpWithExamples();
        }
    }

    private sealed class HelpWithExamples : SynchronousCommandLineAction
    {
        private readonly HelpAction _help = new();

        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            _help.Invoke(parseResult);
            var command = parseResult.CommandResult.Command;
            if (s_examples.TryGetValue(command is RootCommand ? "" : command.Name, out var examples))
            {
                var output = parseResult.InvocationConfiguration.Output;
                output.WriteLine("Examples:");
                foreach (var example in examples)
                {
                    output.WriteLine("  " + example);
                }
            }

            return ExitCodes.Success;
        }
    }
}
