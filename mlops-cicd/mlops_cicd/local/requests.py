"""What of each Create... request is played on one machine: played, without effect here, told, or refused.

The keys are those of botocore's service model. A key that is not in the tables is refused, since it may matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_cicd.errors import nearest

from .expressions import UNKNOWN, Unknown


@dataclass(frozen=True)
class Told:
    """A key that is left out; `why` completes `not played: KEY (why)`."""

    why: str


@dataclass(frozen=True)
class Refused:
    """A key that would change what the job does; `mend` says what to do instead."""

    mend: str


@dataclass(frozen=True)
class OneOf:
    """A key that is played for these values alone, told for others, refused for the rest."""

    values: tuple[Any, ...]
    mend: str
    told: Mapping[Any, str] | None = None


@dataclass(frozen=True)
class Strings:
    """A map (or list) whose values the service takes as strings only."""

    kind: type[Any] = dict


@dataclass(frozen=True)
class Text:
    """A value that is text."""


TEXT = Text()
PLAYED = None  # read, or of no effect on what is computed (keys, networks, tags, machine types)
Rule = Any  # PLAYED, TEXT, Told, Refused, OneOf, Strings, a dict of rules, or a list with one rule for its items

_VPC: Rule = PLAYED
_WHOLE = OneOf(("FullyReplicated",), "Use FullyReplicated.", {"ShardedByS3Key": "one instance gets everything"})
_PREFIX = OneOf(("S3Prefix",), "Only S3Prefix is played: name a prefix of the data instead of a manifest.")
_UNPACKED = OneOf(("None",), "Compressed input is not unpacked here: write the data uncompressed.")
_EXPERIMENT = Told("nothing is written to SageMaker Experiments")

PROCESSING: Rule = {
    "ProcessingJobName": TEXT,
    "ProcessingInputs": [
        {
            "InputName": TEXT,
            "AppManaged": OneOf((False,), "Give the input an S3Input."),
            "S3Input": {
                "S3Uri": TEXT,
                "LocalPath": TEXT,
                "S3DataType": _PREFIX,
                "S3InputMode": OneOf(("File",), "Pipe mode is not played: use File."),
                "S3DataDistributionType": _WHOLE,
                "S3CompressionType": _UNPACKED,
            },
            "DatasetDefinition": Refused(
                "Athena and Redshift are not asked here: write the rows to S3 first and use an S3Input."
            ),
        }
    ],
    "ProcessingOutputConfig": {
        "KmsKeyId": PLAYED,
        "Outputs": [
            {
                "OutputName": TEXT,
                "AppManaged": OneOf((False,), "Give the output an S3Output."),
                "S3Output": {
                    "S3Uri": TEXT,
                    "LocalPath": TEXT,
                    "S3UploadMode": OneOf(
                        ("EndOfJob",), "Use EndOfJob.", {"Continuous": "files go up when the job ends"}
                    ),
                },
                "FeatureStoreOutput": Refused("The feature store is not written here: use an S3Output."),
            }
        ],
    },
    "ProcessingResources": {
        "ClusterConfig": {
            "InstanceCount": PLAYED,
            "InstanceType": TEXT,
            "VolumeSizeInGB": PLAYED,
            "VolumeKmsKeyId": PLAYED,
        }
    },
    "StoppingCondition": {"MaxRuntimeInSeconds": PLAYED},
    "AppSpecification": {"ImageUri": TEXT, "ContainerEntrypoint": Strings(list), "ContainerArguments": Strings(list)},
    "Environment": Strings(),
    "NetworkConfig": PLAYED,
    "RoleArn": TEXT,
    "Tags": PLAYED,
    "ExperimentConfig": _EXPERIMENT,
}

_MODE = OneOf(
    ("File",), "Pipe mode is not played: use File.", {"FastFile": "files are copied before the job, as in File mode"}
)
TRAINING: Rule = {
    "TrainingJobName": TEXT,
    "HyperParameters": Strings(),
    "AlgorithmSpecification": {
        "TrainingImage": TEXT,
        "AlgorithmName": Refused(
            "An algorithm of the marketplace is not on this machine: name a TrainingImage and your own code."
        ),
        "TrainingInputMode": _MODE,
        "MetricDefinitions": [{"Name": TEXT, "Regex": TEXT}],
        "EnableSageMakerMetricsTimeSeries": PLAYED,
        "ContainerEntrypoint": Strings(list),
        "ContainerArguments": Strings(list),
        "TrainingImageConfig": PLAYED,
    },
    "RoleArn": TEXT,
    "InputDataConfig": [
        {
            "ChannelName": TEXT,
            "ContentType": TEXT,
            "InputMode": _MODE,
            "CompressionType": _UNPACKED,
            "RecordWrapperType": OneOf(("None",), "RecordIO is not written here: read plain files."),
            "ShuffleConfig": Refused("Shuffle in the training script, with the seed as a hyperparameter."),
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": _PREFIX,
                    "S3Uri": TEXT,
                    "S3DataDistributionType": _WHOLE,
                    "AttributeNames": Refused("Augmented manifests are not read here: use S3Prefix."),
                    "InstanceGroupNames": Refused(
                        "Instance groups are not played: use InstanceType and InstanceCount."
                    ),
                },
                "FileSystemDataSource": Refused("File systems are not mounted here: use an S3DataSource."),
            },
        }
    ],
    "OutputDataConfig": {
        "KmsKeyId": PLAYED,
        "S3OutputPath": TEXT,
        "CompressionType": OneOf(("GZIP",), "Only model.tar.gz is written here: use GZIP."),
    },
    "ResourceConfig": {
        "InstanceType": TEXT,
        "InstanceCount": PLAYED,
        "VolumeSizeInGB": PLAYED,
        "VolumeKmsKeyId": PLAYED,
        "KeepAlivePeriodInSeconds": PLAYED,
        "InstanceGroups": Refused("Instance groups are not played: use InstanceType and InstanceCount."),
    },
    "VpcConfig": _VPC,
    "StoppingCondition": {
        "MaxRuntimeInSeconds": PLAYED,
        "MaxWaitTimeInSeconds": PLAYED,
        "MaxPendingTimeInSeconds": PLAYED,
    },
    "Tags": PLAYED,
    "EnableNetworkIsolation": PLAYED,
    "EnableInterContainerTrafficEncryption": PLAYED,
    "EnableManagedSpotTraining": PLAYED,
    "CheckpointConfig": Refused("Checkpoints are not kept here: leave CheckpointConfig out for a local run."),
    "DebugHookConfig": Told("the debugger is not here"),
    "DebugRuleConfigurations": Told("the debugger is not here"),
    "TensorBoardOutputConfig": Told("what the job writes for TensorBoard stays in its sandbox"),
    "ExperimentConfig": _EXPERIMENT,
    "ProfilerConfig": Told("the profiler is not here"),
    "ProfilerRuleConfigurations": Told("the profiler is not here"),
    "Environment": Strings(),
    "RetryStrategy": Told("a job that fails is not tried again"),
    "RemoteDebugConfig": PLAYED,
    "InfraCheckConfig": PLAYED,
    "SessionChainingConfig": PLAYED,
    "MlflowConfig": Told("there is no MLflow server without a network"),
}

_JOINED = "Input and output are not joined here: leave DataProcessing out and join them in a Processing step."
TRANSFORM: Rule = {
    "TransformJobName": TEXT,
    "ModelName": TEXT,
    "MaxConcurrentTransforms": PLAYED,
    "ModelClientConfig": {"InvocationsTimeoutInSeconds": PLAYED, "InvocationsMaxRetries": PLAYED},
    "MaxPayloadInMB": PLAYED,
    "BatchStrategy": OneOf(("MultiRecord", "SingleRecord"), "Use MultiRecord or SingleRecord."),
    "Environment": Strings(),
    "TransformInput": {
        "DataSource": {"S3DataSource": {"S3DataType": _PREFIX, "S3Uri": TEXT}},
        "ContentType": TEXT,
        "CompressionType": _UNPACKED,
        "SplitType": OneOf(("None", "Line"), "Only None and Line are played: use one of them."),
    },
    "TransformOutput": {
        "S3OutputPath": TEXT,
        "Accept": TEXT,
        "AssembleWith": OneOf(("None", "Line"), "Use None or Line."),
        "KmsKeyId": PLAYED,
    },
    "DataCaptureConfig": Told("requests are not captured"),
    "TransformResources": {
        "InstanceType": TEXT,
        "InstanceCount": PLAYED,  # the objects are shared out among the instances, the output is the same
        "VolumeKmsKeyId": PLAYED,
        "TransformAmiVersion": PLAYED,
    },
    "DataProcessing": {
        "InputFilter": OneOf(("$",), _JOINED),
        "OutputFilter": OneOf(("$",), _JOINED),
        "JoinSource": OneOf(("None",), _JOINED),
    },
    "Tags": PLAYED,
    "ExperimentConfig": _EXPERIMENT,
}

_CONTAINER: Rule = {
    "ContainerHostname": PLAYED,
    "Image": TEXT,
    "ImageConfig": PLAYED,
    "Mode": OneOf(("SingleModel",), "Only SingleModel is played."),
    "ModelDataUrl": TEXT,
    "ModelDataSource": {
        "S3DataSource": {
            "S3Uri": TEXT,
            "S3DataType": OneOf(("S3Object",), "Name one model.tar.gz: use S3Object."),
            "CompressionType": OneOf(("Gzip",), "Name one model.tar.gz: use Gzip."),
        }
    },
    "Environment": Strings(),
    "ModelPackageName": Refused("A model is not made from a model package here: name Image and ModelDataUrl."),
    "InferenceSpecificationName": Refused(
        "A model is not made from a model package here: name Image and ModelDataUrl."
    ),
    "MultiModelConfig": Refused("Several models in one container are not played: name one ModelDataUrl."),
}
MODEL: Rule = {
    "ModelName": TEXT,
    "PrimaryContainer": _CONTAINER,
    "Containers": [_CONTAINER],
    "InferenceExecutionConfig": PLAYED,
    "ExecutionRoleArn": TEXT,
    "Tags": PLAYED,
    "VpcConfig": _VPC,
    "EnableNetworkIsolation": PLAYED,
}

_PACKAGE_KEYS = (
    "ModelPackageName ModelPackageGroupName ModelPackageDescription ModelPackageRegistrationType InferenceSpecification "
    "CertifyForMarketplace Tags ModelApprovalStatus MetadataProperties ModelMetrics ClientToken Domain Task SamplePayloadUrl "
    "CustomerMetadataProperties DriftCheckBaselines AdditionalInferenceSpecifications SkipModelValidation SourceUri SecurityConfig "
    "ModelCard ModelLifeCycle"
)
REGISTER: Rule = {
    **dict.fromkeys(_PACKAGE_KEYS.split(), PLAYED),
    "ValidationSpecification": Told("the package is not validated by a transform job"),
    "SourceAlgorithmSpecification": Refused(
        "An algorithm is not registered here: name a container in InferenceSpecification."
    ),
}

RULES: Mapping[str, Rule] = {
    "Processing": PROCESSING,
    "Training": TRAINING,
    "Transform": TRANSFORM,
    "Model": MODEL,
    "RegisterModel": REGISTER,
    "Fail": {"ErrorMessage": TEXT},
}


def key_findings(value: Any, rule: Rule, where: str) -> Iterator[tuple[bool, str]]:
    """Yield (refused, line) for what the tables say of the keys and values below `value`."""
    if value is None or isinstance(value, Unknown) or rule is PLAYED:
        return
    if isinstance(rule, Told):
        yield False, f"not played: {where} ({rule.why})"
    elif isinstance(rule, Refused):
        yield True, f"{where} is not played here. {rule.mend}"
    elif isinstance(rule, Text):
        if not isinstance(value, str):
            yield True, f"{where} is {value!r}. Write text."
    elif isinstance(rule, OneOf):
        if isinstance(value, str) and rule.told and value in rule.told:
            yield False, f"not played: {where} {value} ({rule.told[value]})"
        elif value not in rule.values:
            yield True, f"{where} is {value!r}, which is not played here. {rule.mend}"
    elif isinstance(rule, Strings):
        yield from _strings(value, rule.kind, where)
    elif isinstance(rule, list):
        if not isinstance(value, list):
            yield True, f"{where} is no list. Write a list."
            return
        for index, item in enumerate(value):
            if item is None:
                yield True, f"{where}[{index}] is null. Take it away."
            yield from key_findings(item, rule[0], f"{where}[{index}]")
    else:
        yield from _keys(value, rule, where)


def _keys(value: Any, rule: Mapping[str, Rule], where: str) -> Iterator[tuple[bool, str]]:
    if not isinstance(value, Mapping):
        yield True, f"{where} is no object. Write an object with {', '.join(rule)}."
        return
    for key, item in value.items():
        if key in rule:
            yield from key_findings(item, rule[key], f"{where}.{key}")
        else:
            near = nearest(str(key), rule)
            yield (
                True,
                f"{where}: the key {key!r} is not known here. "
                + (f"Did you mean {near}?" if near else "Leave it out."),
            )


def _strings(value: Any, kind: type[Any], where: str) -> Iterator[tuple[bool, str]]:
    if not isinstance(value, kind):
        yield True, f"{where} is {type(value).__name__}. Write {'an object' if kind is dict else 'a list'} of strings."
        return
    items = value.items() if isinstance(value, dict) else enumerate(list(value))
    for key, item in items:
        if isinstance(item, bool | int | float):
            yield (
                False,
                f"not played: {where} {key} is a number; it is passed on as text (SageMaker takes strings here)",
            )
        elif not isinstance(item, str | Unknown):
            yield True, f"{where} {key} is {type(item).__name__}. Write a string."


def known(value: Any) -> bool:
    """Say whether a value is known before the run."""
    return value is not UNKNOWN and not isinstance(value, Unknown)


def dig(request: Any, *path: str) -> Any:
    """Read a value below nested objects; None when it is not there."""
    for key in path:
        if not isinstance(request, Mapping):
            return None
        request = request.get(key)
    return request


LOCAL_PATH = re.compile(r"/opt/ml(/[^/\x00]+)+/?")
