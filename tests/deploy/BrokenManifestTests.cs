using System.Text.Json.Nodes;
using SplitFrozen.Deploy.Tests.Checks;
using SplitFrozen.Deploy.Tests.Rendering;

namespace SplitFrozen.Deploy.Tests;

/// <summary>Each check finds the fault that it is there for, in a rendered overlay that is broken in one place.</summary>
public sealed class BrokenManifestTests
{
    private static Manifests Production => Kustomize.Render("production");

    [Fact]
    public void UnknownField_InADeployment_IsFound() =>
        AssertFound(TypeCheck.Faults, Production.With("Deployment", "trainer", d => Pod(d)["containerz"] = new JsonArray()), "containerz");

    [Fact]
    public void WrongType_InADeployment_IsFound() =>
        AssertFound(TypeCheck.Faults, Production.With("Deployment", "coordinator", d => d["spec"]!["replicas"] = "two"), "V1Deployment");

    [Fact]
    public void UnknownField_InAScaledObject_IsFound() =>
        AssertFound(SchemaCheck.Faults, Production.With("ScaledObject", "device-worker", d => d["spec"]!["minReplicas"] = 1), "ScaledObject device-worker/spec");

    [Fact]
    public void MissingField_InAScaledObject_IsFound() =>
        AssertFound(SchemaCheck.Faults, Production.With("ScaledObject", "device-worker", d => d["spec"]!.AsObject().Remove("triggers")), "triggers");

    [Fact]
    public void UnknownField_InAnExternalSecret_IsFound() =>
        AssertFound(SchemaCheck.Faults, Production.With("ExternalSecret", "redis", d => d["spec"]!["stores"] = "x"), "ExternalSecret redis/spec");

    [Fact]
    public void UnknownWord_InAStrategy_IsFound() =>
        AssertFound(SchemaCheck.Faults, Production.With("Deployment", "trainer", d => d["spec"]!["strategy"]!["type"] = "Replace"), "/spec/strategy/type");

    [Fact]
    public void ProbeOfNothing_IsFound() =>
        AssertFound(SchemaCheck.Faults, Production.With("Deployment", "trainer", d => Container(d)["livenessProbe"]!.AsObject().Remove("httpGet")), "livenessProbe");

    [Fact]
    public void Selector_OtherThanTheLabels_IsFound() =>
        AssertFound(SelectorCheck.Faults, Production.With("Deployment", "coordinator", d => Labels(d)["app.kubernetes.io/name"] = "coordinater"), "does not select its own pods");

    [Theory]
    [InlineData("Service", "rabbitmq", "selector")]
    [InlineData("PodDisruptionBudget", "coordinator", "selector/matchLabels")]
    [InlineData("NetworkPolicy", "redis", "podSelector/matchLabels")]
    public void Selector_OfNoPods_IsFound(string kind, string name, string path) =>
        AssertFound(SelectorCheck.Faults, Production.With(kind, name, d => At(d["spec"]!, path)["app.kubernetes.io/name"] = "gone"), $"{kind} {name} selects no pods");

    [Fact]
    public void StatefulSet_WithoutItsHeadlessService_IsFound() =>
        AssertFound(SelectorCheck.Faults, Production.Without("Service", "rabbitmq-nodes"), "has no headless service rabbitmq-nodes");

    [Fact]
    public void Scaler_OfAWorkloadThatIsNotThere_IsFound() =>
        AssertFound(SelectorCheck.Faults, Production.With("ScaledObject", "device-worker", d => d["spec"]!["scaleTargetRef"]!["name"] = "devices"), "scales StatefulSet devices");

    [Fact]
    public void Replicas_BesideAScaler_AreFound() =>
        AssertFound(SelectorCheck.Faults, Production.With("StatefulSet", "device-worker", d => d["spec"]!["replicas"] = 4), "sets replicas");

    [Fact]
    public void ServicePort_ThatNoContainerHas_IsFound() =>
        AssertFound(PortCheck.Faults, Production.With("Service", "redis", d => d["spec"]!["ports"]![0]!["targetPort"] = 6380), "redis has no port 6380");

    [Fact]
    public void Probe_OfAPortThatIsNotThere_IsFound() =>
        AssertFound(PortCheck.Faults, Production.With("Deployment", "trainer", d => Container(d)["readinessProbe"]!["httpGet"]!["port"] = "web"), "asks port web");

    [Fact]
    public void HealthPort_OtherThanTheContainers_IsFound() =>
        AssertFound(PortCheck.Faults, Production.With("Deployment", "trainer", d => Variable(d, "Health__Port")["value"] = "8082"), "Health__Port=8082");

    [Fact]
    public void SecretKey_ThatIsNotThere_IsFound() =>
        AssertFound(
            ReferenceCheck.Faults, Production.With("Deployment", "trainer", d => Variable(d, "REDIS_PASSWORD")["valueFrom"]!["secretKeyRef"]!["key"] = "pass"), "the key pass of the secret redis");

    [Fact]
    public void Secret_ThatNobodyMakes_IsFound() =>
        AssertFound(ReferenceCheck.Faults, Production.Without("ExternalSecret", "rabbitmq"), "the key username of the secret rabbitmq");

    [Theory]
    [InlineData("splitfrozen", "takes its environment from splitfrozen-")]
    [InlineData("redis", "Volume config of redis")]
    public void ConfigMap_ThatIsNotThere_IsFound(string name, string fault) => AssertFound(ReferenceCheck.Faults, Production.Without("ConfigMap", name), fault);

    [Fact]
    public void Claim_ThatIsNotThere_IsFound() => AssertFound(ReferenceCheck.Faults, Production.Without("PersistentVolumeClaim", "trainer-runs"), "Volume runs of trainer");

    [Fact]
    public void Object_OutsideTheNamespace_IsFound() =>
        AssertFound(ReferenceCheck.Faults, Production.With("Service", "redis", d => d["metadata"]!["namespace"] = "default"), "Service redis is not in the namespace");

    [Fact]
    public void Mount_OfNoVolume_IsFound() =>
        AssertFound(MountCheck.Faults, Production.With("StatefulSet", "redis", d => Container(d)["volumeMounts"]![0]!["name"] = "dump"), "mounts dump");

    [Fact]
    public void Folder_ThatMayNotBeWritten_IsFound() =>
        AssertFound(MountCheck.Faults, Production.With("Deployment", "trainer", d => Variable(d, "Trainer__Folder")["value"] = "/data/runs"), "Trainer__Folder=/data/runs");

    [Theory]
    [InlineData("Trainer__Foldr", "/runs", "Foldr")]
    [InlineData("Trainers__Folder", "/runs", "Trainers__Folder is no setting")]
    [InlineData("OTEL_EXPORTER_ENDPOINT", "http://otel-collector:4317", "OTEL_EXPORTER_ENDPOINT is no setting")]
    [InlineData("Trainer__LeaseTime", "ten seconds", "Trainer:LeaseTime")]
    [InlineData("Trainer__LeaseTime", "00:00:00.5", "LeaseTime must be between")]
    [InlineData("Transport__QueueKind", "Mirrored", "Mirrored")]
    [InlineData("Transport__QueueBytes", "12", "QueueBytes must be between")]
    [InlineData("Health__Port", "99999", "Health__Port is a port")]
    [InlineData("Transport__Broker", "rabbitmq:5672", "Transport__Broker is not of the form")]
    [InlineData("Transport__Redis", "redis:6379", "or no password")]
    [InlineData("Transport__Redis", "redis:6379,password=$(REDIS_PASWORD)", "refers to a variable that is not set before it")]
    public void Setting_OfATrainer_ThatIsWrong_IsFound(string name, string value, string fault) =>
        AssertFound(SettingsCheck.Faults, Production.With("Deployment", "trainer", d => Set(d, name, value)), fault);

    [Fact]
    public void Setting_AgainstARuleOverTwo_IsFound() =>
        AssertFound(SettingsCheck.Faults, Production.With("Deployment", "coordinator", d => Set(d, "Coordinator__LeaseRenewal", "00:00:09")), "at most half of LeaseTime");

    [Fact]
    public void DeviceName_ThatIsReserved_IsFound() =>
        AssertFound(SettingsCheck.Faults, Production.With("StatefulSet", "device-worker", d => Set(d, "Device__Name", "evaluation")), "Device__Name has 1 to 64");

    [Fact]
    public void Password_InAConfigMap_IsFound() =>
        AssertFound(SettingsCheck.Faults, Production.With("ConfigMap", "splitfrozen", d => d["data"]!["Transport__Redis"] = "redis:6379,password=x"), "what looks like a password");

    [Fact]
    public void Settings_ThatDisagree_AreFound() =>
        AssertFound(AgreementCheck.Faults, Production.With("Deployment", "trainer", d => Set(d, "Transport__CacheBytes", "1073741824")), "is not the same for all services");

    [Fact]
    public void Redis_WithLessMemoryThanTheCache_IsFound() =>
        AssertFound(AgreementCheck.Faults, Production.With("StatefulSet", "redis", d => Container(d)["resources"]!["limits"]!["memory"] = "8Gi"), "Redis may use");

    [Fact]
    public void QuorumQueues_OnOneNode_AreFound() =>
        AssertFound(AgreementCheck.Faults, Production.With("StatefulSet", "rabbitmq", d => d["spec"]!["replicas"] = 1), "Quorum queues need three");

    [Fact]
    public void DeviceWorker_ThatPromisesMoreMemoryThanItHas_IsFound() =>
        AssertFound(AgreementCheck.Faults, Production.With("StatefulSet", "device-worker", d => Set(d, "Device__MemoryBytes", "4294967296")), "promises more memory");

    [Fact]
    public void Policies_WithoutDenial_AreFound() => AssertFound(NetworkPolicyCheck.Faults, Production.Without("NetworkPolicy", "default-deny"), "No policy forbids");

    [Theory]
    [InlineData("services", "coordinator → redis:6379 is needed, but may not leave")]
    [InlineData("redis", "trainer → redis:6379 is needed, but may not enter")]
    [InlineData("rabbitmq-nodes", "rabbitmq → rabbitmq:25672 is needed, but may not leave")]
    [InlineData("coordinator-from-keda", "namespace/keda → coordinator:8080 is needed, but may not enter")]
    [InlineData("otel-collector-to-observability", "otel-collector → namespace/observability:4317 is needed, but may not leave")]
    [InlineData("names", "trainer → namespace/kube-system:53 is needed, but may not leave")]
    public void Policy_ThatIsMissing_IsFound(string policy, string fault) => AssertFound(NetworkPolicyCheck.Faults, Production.Without("NetworkPolicy", policy), fault);

    [Fact]
    public void Policy_ThatAllowsMore_IsFound() =>
        AssertFound(
            NetworkPolicyCheck.Faults, Production.With("NetworkPolicy", "redis", d => d["spec"]!["ingress"]![0]!["from"]![0]!["podSelector"] = new JsonObject()),
            "otel-collector → redis:6379 is allowed, but no setting names it");

    [Theory]
    [InlineData("ports", "→ redis:0 is allowed")]
    [InlineData("from", "anywhere → redis:6379 is allowed")]
    public void Policy_WithoutPortsOrPeers_IsFound(string field, string fault) =>
        AssertFound(NetworkPolicyCheck.Faults, Production.With("NetworkPolicy", "redis", d => d["spec"]!["ingress"]![0]!.AsObject().Remove(field)), fault);

    [Fact]
    public void Address_OfNoService_IsFound() =>
        AssertFound(NetworkPolicyCheck.Faults, Production.With("Deployment", "trainer", d => Set(d, "Transport__Redis", "cache:6379,password=x")), "connects to cache, which is no service");

    [Theory]
    [InlineData("spec/securityContext/runAsNonRoot", "its pod may run as root")]
    [InlineData("spec/securityContext/seccompProfile", "no seccomp profile")]
    [InlineData("spec/automountServiceAccountToken", "a token for the cluster")]
    [InlineData("spec/enableServiceLinks", "a variable for every service")]
    [InlineData("spec/containers/0/securityContext/readOnlyRootFilesystem", "write to its image")]
    [InlineData("spec/containers/0/securityContext/allowPrivilegeEscalation", "may gain privileges")]
    [InlineData("spec/containers/0/securityContext/capabilities", "keeps capabilities")]
    [InlineData("spec/containers/0/resources/limits", "has no limit of memory")]
    [InlineData("spec/containers/0/livenessProbe", "nobody asks whether it is alive")]
    public void Pod_WithoutAProtection_IsFound(string path, string fault) =>
        AssertFound(HardeningCheck.Faults, Production.With("Deployment", "trainer", d => Remove(d["spec"]!["template"]!, path)), fault);

    [Theory]
    [InlineData("registry.example.org/splitfrozen/trainer")]
    [InlineData("registry.example.org/splitfrozen/trainer:latest")]
    [InlineData("registry.example.org:5000/splitfrozen/trainer")]
    public void Image_WithoutAVersion_IsFound(string image) =>
        AssertFound(ImageCheck.Faults, Production.With("Deployment", "trainer", d => Container(d)["image"] = image), image);

    [Fact]
    public void Coordinator_WithoutTokens_IsFound() =>
        AssertFound(
            SettingsCheck.Faults,
            Production.With("Deployment", "coordinator", d => Container(d)["env"]!.AsArray().RemoveAll(v => ((string)v!["name"]!).StartsWith("Coordinator__Tokens", StringComparison.Ordinal))),
            "would serve everyone who reaches http://*:8080");

    [Fact]
    public void Token_WithAnUnknownRole_IsFound() =>
        AssertFound(SettingsCheck.Faults, Production.With("Deployment", "coordinator", d => Variable(d, "Coordinator__Tokens__0__Role")["value"] = "Root"), "Root");

    [Fact]
    public void Scaler_WhoseTokenIsNotThere_IsFound()
    {
        AssertFound(ReferenceCheck.Faults, Production.With("TriggerAuthentication", "coordinator", d => d["spec"]!["secretTargetRef"]![0]!["key"] = "gone"), "key gone of the secret coordinator");
        AssertFound(ReferenceCheck.Faults, Production.Without("TriggerAuthentication", "coordinator"), "asks with the authentication 'coordinator'");
    }

    [Fact]
    public void Trainer_KilledBeforeItHasDrained_IsFound() =>
        AssertFound(ShutdownCheck.Faults, Production.With("Deployment", "trainer", d => Pod(d)["terminationGracePeriodSeconds"] = 120), "trainer is killed after 00:02:00");

    private static void AssertFound(Func<Manifests, IEnumerable<string>> check, Manifests broken, string fault) =>
        Assert.Contains(check(broken), found => found.Contains(fault, StringComparison.Ordinal));

    private static JsonNode Pod(JsonObject workload) => workload["spec"]!["template"]!["spec"]!;

    private static JsonNode Container(JsonObject workload) => Pod(workload)["containers"]![0]!;

    private static JsonNode Labels(JsonObject workload) => workload["spec"]!["template"]!["metadata"]!["labels"]!;

    private static JsonNode Variable(JsonObject workload, string name) => Container(workload)["env"]!.AsArray().Single(variable => (string?)variable!["name"] == name)!;

    private static void Set(JsonObject workload, string name, string value)
    {
        var variables = Container(workload)["env"]!.AsArray();
        variables.RemoveAll(variable => (string?)variable!["name"] == name);
        variables.Add(new JsonObject { ["name"] = name, ["value"] = value });
    }

    private static JsonNode At(JsonNode node, string path) =>
        path.Split('/').Aggregate(node, (at, part) => (int.TryParse(part, out var index) ? at[index] : at[part])!);

    private static void Remove(JsonNode node, string path)
    {
        var parent = path[..path.LastIndexOf('/')];
        Assert.True(At(node, parent).AsObject().Remove(path[(parent.Length + 1)..]));
    }
}
