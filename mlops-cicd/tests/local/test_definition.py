"""What is refused before anything runs, and what is told."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mlops_cicd.local import DefinitionError, Job, JobFailed, run_processing, run_training, run_transform, serve
from mlops_cicd.local.definition import plan
from tests.local.support import Bench, pipeline, processing, processing_request, training_request

Change = Callable[[dict[str, Any]], Any]


def train(**more: Any) -> dict[str, Any]:
    return {"Name": "Train", "Type": "Training", "Arguments": training_request(**more)}


def model() -> dict[str, Any]:
    container = {"Image": "i", "ModelDataUrl": "s3://b/m/model.tar.gz"}
    return {"Name": "Model", "Type": "Model", "Arguments": {"PrimaryContainer": container, "ExecutionRoleArn": "r"}}


def transform() -> dict[str, Any]:
    arguments = {
        "ModelName": {"Get": "Steps.Model.ModelName"},
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}},
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": "s3://b/out", "AssembleWith": "Line"},
        "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.large"},
    }
    return {"Name": "Transform", "Type": "Transform", "Arguments": arguments}


def register() -> dict[str, Any]:
    specification = {"Containers": [{"Image": "i", "ModelDataUrl": "s3://b/m/model.tar.gz"}]}
    arguments = {"ModelPackageGroupName": "churn", "InferenceSpecification": specification}
    return {"Name": "Register", "Type": "RegisterModel", "Arguments": arguments}


def whole() -> dict[str, Any]:
    condition = {"Type": "Equals", "LeftValue": {"Get": "Parameters.Mode"}, "RightValue": "x"}
    gate: dict[str, Any] = {"Name": "Gate", "Type": "Condition", "DependsOn": ["Transform", "Prep"]}
    gate["Arguments"] = {"Conditions": [condition], "IfSteps": [register()], "ElseSteps": [fail()]}
    train_step = train(
        HyperParameters={"depth": "3"},
        Environment={"A": {"Std:Join": {"On": "/", "Values": ["a", {"Get": "Execution.PipelineName"}]}}},
    )
    train_step["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "auc", "Regex": "auc=(.*)"}]
    value = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Prep.PropertyFiles.Report"}, "Path": "a.b[0]"}}
    gate["Arguments"]["Conditions"] += [
        {"Type": "Or", "Conditions": [{"Type": "In", "QueryValue": value, "Values": [1, 2]}]},
        {"Type": "Not", "Condition": {"Type": "LessThan", "LeftValue": value, "RightValue": 3}},
    ]
    prep = processing("Prep", PropertyFiles=[{"PropertyFileName": "Report", "OutputName": "out", "FilePath": "r.json"}])
    prep |= {"CacheConfig": {"Enabled": False}}
    parameters = [
        {"Name": "Mode", "Type": "String", "DefaultValue": "x"},
        {"Name": "Count", "Type": "Integer", "DefaultValue": 1},
    ]
    return pipeline(prep, train_step, model(), transform(), gate, Parameters=parameters, Metadata={})


def fail() -> dict[str, Any]:
    return {"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}


def at(document: Any, path: str) -> Any:
    for key in path.split("."):
        document = document[int(key) if key.isdigit() else key]
    return document


def put(path: str, value: Any) -> Change:
    def change(definition: dict[str, Any]) -> None:
        where, _, key = path.rpartition(".")
        holder: Any = at(definition, where) if where else definition
        holder[int(key) if key.isdigit() else key] = value

    return change


def test_the_whole_is_played_in_the_order_of_its_needs() -> None:
    definition = whole()
    definition["Steps"].reverse()
    names = [step.name for step in plan(definition).steps]
    assert names.index("Model") < names.index("Transform") < names.index("Gate") < names.index("Register")


PROCESSING = "Steps.0.Arguments"
TRAINING = "Steps.1.Arguments"
CHANNEL = f"{TRAINING}.InputDataConfig.0"
REFUSED = {
    "version": (put("Version", "2021-01-01"), "schema 2020-12-01"),
    "top level key": (put("Step", []), "Did you mean Steps?"),
    "no steps": (put("Steps", []), "at least one step"),
    "lambda": (put("Steps.4", {"Name": "L", "Type": "Lambda", "Arguments": {}}), "type 'Lambda' are not played"),
    "tuning": (put("Steps.4", {"Name": "L", "Type": "Tuning", "Arguments": {}}), "type 'Tuning' are not played"),
    "twice": (put("Steps.1.Name", "Prep"), "Prep is there twice"),
    "name": (put("Steps.0.Name", "a b"), "no name of a step"),
    "step key": (put("Steps.0.DependOn", []), "Did you mean DependsOn?"),
    "property files elsewhere": (put("Steps.1.PropertyFiles", []), "'PropertyFiles' is not known"),
    "property file": (
        put("Steps.0.PropertyFiles", [{"PropertyFileName": "Report", "OutputName": "none", "FilePath": "r.json"}]),
        "output 'none'",
    ),
    "no such step": (put("Steps.0.DependsOn", ["Trian"]), "Did you mean Train?"),
    "cycle": (put("Steps.0.DependsOn", ["Gate"]), "wait for each other"),
    "needs itself": (put("Steps.0.DependsOn", ["Prep"]), "wait for each other"),
    "no such parameter": (put(f"{PROCESSING}.Environment", {"A": {"Get": "Parameters.Cuont"}}), "Did you mean Count?"),
    "function": (put(f"{PROCESSING}.Environment", {"A": {"Std:Upper": "x"}}), "Std:Upper is not played"),
    "condition": (put("Steps.4.Arguments.Conditions.0.Type", "Matches"), "'Matches' is not played"),
    "unknown key": (put(f"{PROCESSING}.AppSpecification.ContainerEntryPoint", []), "Did you mean ContainerEntrypoint?"),
    "no program": (put(f"{PROCESSING}.AppSpecification.ContainerEntrypoint", None), "own program is not on this machine"),
    "pipe input": (put(f"{PROCESSING}.ProcessingInputs.0.S3Input.S3InputMode", "Pipe"), "use File"),
    "manifest": (put(f"{PROCESSING}.ProcessingInputs.0.S3Input.S3DataType", "ManifestFile"), "S3Prefix"),
    "athena": (put(f"{PROCESSING}.ProcessingInputs.0.DatasetDefinition", {"AthenaDatasetDefinition": {}}), "Athena"),
    "local path": (put(f"{PROCESSING}.ProcessingInputs.0.S3Input.LocalPath", "/opt/ml/../etc"), "below /opt/ml/"),
    "local path elsewhere": (put(f"{PROCESSING}.ProcessingInputs.0.S3Input.LocalPath", "/etc"), "below /opt/ml/"),
    "uri": (put(f"{PROCESSING}.ProcessingInputs.0.S3Input.S3Uri", "data/"), "s3://BUCKET/KEY"),
    "uri up": (put(f"{PROCESSING}.ProcessingInputs.0.S3Input.S3Uri", "s3://b/../c"), "without `..`"),
    "feature store": (put(f"{PROCESSING}.ProcessingOutputConfig.Outputs.0.FeatureStoreOutput", {}), "feature store"),
    "instances": (put(f"{PROCESSING}.ProcessingResources.ClusterConfig.InstanceCount", 2), "2 instances are not played"),
    "time": (put(f"{PROCESSING}.StoppingCondition.MaxRuntimeInSeconds", 0), "above 0"),
    "environment": (put(f"{PROCESSING}.Environment", {"A": {"B": "C"}}), "Write a string"),
    "pipe": (put(f"{TRAINING}.AlgorithmSpecification.TrainingInputMode", "Pipe"), "use File"),
    "channel pipe": (put(f"{CHANNEL}.InputMode", "Pipe"), "use File"),
    "gzip": (put(f"{CHANNEL}.CompressionType", "Gzip"), "uncompressed"),
    "recordio": (put(f"{CHANNEL}.RecordWrapperType", "RecordIO"), "RecordIO"),
    "file system": (put(f"{CHANNEL}.DataSource", {"FileSystemDataSource": {"FileSystemId": "f"}}), "File systems"),
    "algorithm": (put(f"{TRAINING}.AlgorithmSpecification.ContainerEntrypoint", None), "own program would train"),
    "marketplace": (put(f"{TRAINING}.AlgorithmSpecification.AlgorithmName", "a"), "marketplace"),
    "checkpoints": (put(f"{TRAINING}.CheckpointConfig", {"S3Uri": "s3://b/c"}), "CheckpointConfig"),
    "groups": (put(f"{TRAINING}.ResourceConfig.InstanceGroups", []), "Instance groups"),
    "regex": (put(f"{TRAINING}.AlgorithmSpecification.MetricDefinitions", [{"Name": "a", "Regex": "a=(\\d+"}]), "is broken"),
    "regex group": (put(f"{TRAINING}.AlgorithmSpecification.MetricDefinitions", [{"Name": "a", "Regex": "a"}]), "no group"),
    "hosts": (put(f"{TRAINING}.ResourceConfig.InstanceCount", "two"), "number from 1"),
    "two containers": (put("Steps.2.Arguments.Containers", [{"Image": "i", "ModelDataUrl": "s3://b/m"}]), "2 containers"),
    "multi model": (put("Steps.2.Arguments.PrimaryContainer.Mode", "MultiModel"), "SingleModel"),
    "recordio split": (put("Steps.3.Arguments.TransformInput.SplitType", "RecordIO"), "None and Line"),
    "joined": (put("Steps.3.Arguments.DataProcessing", {"JoinSource": "Input"}), "not joined"),
    "single": (
        lambda d: at(d, "Steps.3.Arguments").update(BatchStrategy="SingleRecord", TransformInput={"SplitType": "None"}),
        "needs SplitType Line",
    ),
    "status": (put("Steps.4.Arguments.IfSteps.0.Arguments.ModelApprovalStatus", "Yes"), "PendingManualApproval"),
    "group": (put("Steps.4.Arguments.IfSteps.0.Arguments.ModelPackageGroupName", None), "ModelPackageGroupName is missing"),
    "no default": (put("Parameters.0", {"Name": "Mode", "Type": "String"}), "no DefaultValue"),
    "parameter type": (put("Parameters.1.Type", "Number"), "not understood"),
    "default type": (put("Parameters.1.DefaultValue", "many"), "no Integer"),
    "enum": (put("Parameters.0.EnumValues", ["a", "b"]), "Use one of a, b"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_change_the_meaning_is_refused_before_anything_runs(bench: Bench, case: str) -> None:
    change, message = REFUSED[case]
    definition = whole()
    change(definition)
    with pytest.raises(DefinitionError) as caught:
        bench.run(definition)
    assert message in str(caught.value)
    assert not (bench.root / "runs").exists()
    assert bench.reported == []


TOLD = {
    "cache": (put("Steps.0.CacheConfig", {"Enabled": True, "ExpireAfter": "P30D"}), "CacheConfig"),
    "retry": (put("Steps.0.RetryPolicies", [{"ExceptionType": ["Step.THROTTLING"]}]), "RetryPolicies"),
    "continuous": (
        put(f"{PROCESSING}.ProcessingOutputConfig.Outputs.0.S3Output.S3UploadMode", "Continuous"),
        "Continuous",
    ),
    "sharded": (
        put(f"{PROCESSING}.ProcessingInputs.0.S3Input.S3DataDistributionType", "ShardedByS3Key"),
        "one instance",
    ),
    "fast file": (put(f"{TRAINING}.AlgorithmSpecification.TrainingInputMode", "FastFile"), "FastFile"),
    "profiler": (put(f"{TRAINING}.ProfilerConfig", {"S3OutputPath": "s3://b/p"}), "ProfilerConfig"),
    "number": (put(f"{TRAINING}.HyperParameters", {"n": {"Get": "Parameters.Count"}}), "passed on as text"),
    "spark": (
        lambda d: (
            put(f"{PROCESSING}.AppSpecification.ContainerEntrypoint", ["smspark-submit", "/opt/ml/x.py"])(d),
            put(f"{PROCESSING}.ProcessingResources.ClusterConfig.InstanceCount", 3)(d),
        ),
        "Spark runs on this machine alone",
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_what_is_harmless_is_told_in_one_line(case: str) -> None:
    change, message = TOLD[case]
    definition = whole()
    change(definition)
    told = plan(definition).told
    assert [line for line in told if message in line and line.startswith("not played: ") and "\n" not in line]


def test_nothing_is_told_of_what_changes_nothing() -> None:
    assert plan(whole()).told == ()


def test_all_problems_come_at_once() -> None:
    definition = whole()
    REFUSED["pipe"][0](definition)
    REFUSED["manifest"][0](definition)
    REFUSED["joined"][0](definition)
    with pytest.raises(DefinitionError) as caught:
        plan(definition)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("String", "x", "x"), ("Integer", 3, 3), ("Integer", "3", 3), ("Float", 2, 2.0), ("Float", "0.5", 0.5),
        ("Boolean", True, True), ("Boolean", "False", False), ("String", 3, None), ("Integer", 3.5, None),
        ("Integer", True, None), ("Integer", "3.5", None), ("Boolean", 1, None), ("Boolean", "yes", None), ("Float", "x", None),
    ],
)  # fmt: skip
def test_a_parameter_takes_its_own_type_or_its_text(kind: str, given: Any, value: Any) -> None:
    definition = whole() | {"Parameters": [*whole()["Parameters"], {"Name": "P", "Type": kind}]}
    if value is None:
        with pytest.raises(DefinitionError, match=f"which is no {kind}"):
            plan(definition, {"P": given})
    else:
        assert plan(definition, {"P": given}).parameters["P"] == value


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(DefinitionError, match="Did you mean Count"):
        plan(whole(), {"Cuont": 1})


def test_several_hosts_need_namespaces(bench: Bench) -> None:
    definition = whole()
    put(f"{TRAINING}.ResourceConfig.InstanceCount", 2)(definition)
    assert plan(copy.deepcopy(definition)).steps
    bench.mode = "mapped"
    with pytest.raises(DefinitionError, match="need namespaces"):
        bench.run(definition)


@pytest.mark.parametrize("definition", [[], "x", {}, {"Version": "2020-12-01", "Steps": [3, None, {"Name": "A"}]}])
def test_what_is_no_definition_is_refused(definition: Any) -> None:
    with pytest.raises(DefinitionError):
        plan(definition)


def paths(value: Any, where: str = "") -> Iterator[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        path = f"{where}.{key}" if where else str(key)
        yield path
        yield from paths(item, path)


@pytest.mark.parametrize(
    "junk", [None, 3, True, "x", [], {}, [None], [3], {"x": 1}, {"Get": "x"}, {"Get": 3}, [{}]], ids=repr
)
def test_junk_anywhere_is_a_problem_or_harmless_but_never_a_crash(junk: Any) -> None:
    refused = 0
    for path in list(paths(whole())):
        definition = whole()
        put(path, copy.deepcopy(junk))(definition)
        try:
            plan(definition)
        except DefinitionError as error:
            assert all(problem.endswith((".", "?", "}")) for problem in error.problems)
            refused += 1
    assert refused > 20


REQUESTS: dict[str, tuple[Callable[[], Any], Callable[[Any, Job], Any]]] = {
    "processing": (lambda: processing_request("A"), run_processing),
    "training": (lambda: training_request(HyperParameters={"a": "b"}, Environment={"A": "b"}), run_training),
    "transform": (
        lambda: transform()["Arguments"] | {"ModelName": "m"},
        lambda request, job: run_transform(request, model()["Arguments"], job),
    ),
    "model": (lambda: model()["Arguments"], serve),
}


@pytest.mark.parametrize("junk", [None, 3, [], {}, [None], [3]], ids=repr)
@pytest.mark.parametrize("kind", REQUESTS)
def test_junk_in_a_request_alone_is_a_problem_or_fails_the_job_but_never_a_crash(
    bench: Bench, kind: str, junk: Any
) -> None:
    make, play = REQUESTS[kind]
    bench.mode = "mapped"
    bench.put("s3://b/code/A.py", "")
    bench.put("s3://b/code/train.py", "")
    refused = 0
    for number, path in enumerate(paths(make())):
        request = make()
        put(path, copy.deepcopy(junk))(request)
        try:
            play(request, bench.job(f"job-{number}"))
        except (DefinitionError, JobFailed):
            refused += 1
    assert refused > 3
