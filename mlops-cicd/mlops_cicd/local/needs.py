"""What a request must hold so that it can be played: required values, paths, counts, and the programs of the image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from .requests import LOCAL_PATH, RULES, dig, key_findings, known

Found = Iterator[tuple[bool, str]]
MAX_HOSTS = 8


@dataclass(frozen=True)
class Verdict:
    """What was found in a request: problems that end the run, and lines that are told."""

    problems: tuple[str, ...]
    told: tuple[str, ...]


def look(kind: str, request: Any, where: str, hosts_possible: bool = True) -> Verdict:
    """Hold a request, resolved as far as it goes, against what is played."""
    found = list(key_findings(request, RULES[kind], where))
    if isinstance(request, Mapping):
        found += needs(kind, request, where, hosts_possible)
    return Verdict(
        tuple(dict.fromkeys(line for refused, line in found if refused)),
        tuple(dict.fromkeys(line for refused, line in found if not refused)),
    )


def needs(kind: str, request: Mapping[str, Any], where: str, hosts_possible: bool) -> Found:
    """Yield (refused, line) for what is missing or out of range in a request."""
    for path in _REQUIRED[kind]:
        value = dig(request, *path)
        if value is None or value == "" or value == []:
            yield True, f"{where}.{'.'.join(path)} is missing. Write it."
    yield from _s3_uris(request, where)
    if kind == "Processing":
        yield from _processing(request, where)
    elif kind == "Training":
        yield from _training(request, where, hosts_possible)
    elif kind == "Transform":
        yield from _transform(request, where)
    elif kind == "Model":
        yield from _model(request, where)
    elif kind == "RegisterModel":
        yield from _register(request, where)
    seconds = dig(request, "StoppingCondition", "MaxRuntimeInSeconds")
    if known(seconds) and seconds is not None and not (_is_int(seconds) and seconds > 0):
        yield True, f"{where}.StoppingCondition.MaxRuntimeInSeconds is {seconds!r}. Write a number of seconds above 0."


_REQUIRED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Processing": (
        ("AppSpecification", "ImageUri"),
        ("ProcessingResources", "ClusterConfig"),
    ),
    "Training": (
        ("AlgorithmSpecification", "TrainingImage"),
        ("AlgorithmSpecification", "TrainingInputMode"),
        ("OutputDataConfig", "S3OutputPath"),
        ("ResourceConfig",),
    ),
    "Transform": (
        ("ModelName",),
        ("TransformInput", "DataSource", "S3DataSource", "S3Uri"),
        ("TransformOutput", "S3OutputPath"),
    ),
    "Model": (),
    "RegisterModel": (("ModelPackageGroupName",), ("InferenceSpecification", "Containers")),
    "Fail": (),
}


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _s3_uris(value: Any, where: str) -> Found:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        below = f"{where}[{key}]" if isinstance(key, int) else f"{where}.{key}"
        if key in ("S3Uri", "S3OutputPath", "ModelDataUrl") and known(item) and item is not None:
            if not isinstance(item, str) or not re.fullmatch(r"s3://[^/\s]+(/.*)?", item):
                yield True, f"{below} is {item!r}. Write s3://BUCKET/KEY."
            elif ".." in PurePosixPath(item).parts:
                yield True, f"{below} is {item!r}. Write it without `..`."
        elif isinstance(item, Mapping | list):
            yield from _s3_uris(item, below)


def _named(items: Any, key: str, where: str) -> Found:
    seen: set[str] = set()
    for item in items if isinstance(items, list) else ():
        name = dig(item, key)
        if name is None:
            yield True, f"{where}: an item has no {key}. Write one."
        elif isinstance(name, str) and name in seen:
            yield True, f"{where}: {key} {name!r} is there twice. Rename one of the two."
        elif isinstance(name, str):
            seen.add(name)


def _local_path(path: Any, where: str) -> Found:
    if known(path) and not (
        isinstance(path, str) and LOCAL_PATH.fullmatch(path) and ".." not in PurePosixPath(path).parts
    ):
        yield True, f"{where} is {path!r}. Write an absolute path below /opt/ml/."


def _processing(request: Mapping[str, Any], where: str) -> Found:
    entry = dig(request, "AppSpecification", "ContainerEntrypoint")
    if entry is None or entry == []:
        yield (
            True,
            (
                f"{where}.AppSpecification.ContainerEntrypoint is missing: the image's own program is not on this machine. "
                'Name the program, such as ["python3", "/opt/ml/processing/input/code/preprocess.py"].'
            ),
        )
    inputs, outputs = request.get("ProcessingInputs"), dig(request, "ProcessingOutputConfig", "Outputs")
    yield from _named(inputs, "InputName", f"{where}.ProcessingInputs")
    yield from _named(outputs, "OutputName", f"{where}.ProcessingOutputConfig.Outputs")
    for what, key, items in (
        ("ProcessingInputs", "S3Input", inputs),
        ("ProcessingOutputConfig.Outputs", "S3Output", outputs),
    ):
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if dig(item, key) is not None:
                yield from _local_path(dig(item, key, "LocalPath"), f"{where}.{what}[{index}].{key}.LocalPath")
                if dig(item, key, "S3Uri") is None:
                    yield True, f"{where}.{what}[{index}].{key}.S3Uri is missing. Write s3://BUCKET/KEY."
            elif not dig(item, "DatasetDefinition") and not dig(item, "FeatureStoreOutput"):
                yield True, f"{where}.{what}[{index}] has no {key}. Write one."
    count = dig(request, "ProcessingResources", "ClusterConfig", "InstanceCount")
    spark = (
        isinstance(entry, list) and entry and known(entry[0]) and PurePosixPath(str(entry[0])).name == "smspark-submit"
    )
    if known(count) and spark and _is_int(count) and count > 1:
        yield False, f"not played: {where} on {count} instances (Spark runs on this machine alone)"
    elif known(count) and count is not None and count != 1:
        yield (
            True,
            f"{where}: {count!r} instances are not played for a processing job. Use InstanceCount 1 for a local run.",
        )


def _training(request: Mapping[str, Any], where: str, hosts_possible: bool) -> Found:
    algorithm = request.get("AlgorithmSpecification")
    values = request.get("HyperParameters") or {}
    v2 = isinstance(values, Mapping) and "sagemaker_program" in values and "sagemaker_submit_directory" in values
    if not dig(algorithm, "ContainerEntrypoint") and not v2:
        yield (
            True,
            (
                f"{where}: neither ContainerEntrypoint nor sagemaker_program and sagemaker_submit_directory are given, so the "
                "image's own program would train, which is not on this machine. Bring a training script."
            ),
        )
    channels = request.get("InputDataConfig")
    yield from _named(channels, "ChannelName", f"{where}.InputDataConfig")
    for index, channel in enumerate(channels if isinstance(channels, list) else ()):
        name = dig(channel, "ChannelName")
        if known(name) and name is not None and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", str(name)):
            yield (
                True,
                f"{where}.InputDataConfig[{index}].ChannelName is {name!r}. Use letters, digits, dot, hyphen, underscore.",
            )
        if not dig(channel, "DataSource", "S3DataSource", "S3Uri") and not dig(
            channel, "DataSource", "FileSystemDataSource"
        ):
            yield (
                True,
                f"{where}.InputDataConfig[{index}].DataSource.S3DataSource.S3Uri is missing. Write s3://BUCKET/KEY.",
            )
    yield from _metrics(dig(algorithm, "MetricDefinitions"), where)
    count = dig(request, "ResourceConfig", "InstanceCount")
    if not known(count) or count is None:
        return
    if not _is_int(count) or not 1 <= count <= MAX_HOSTS:
        yield True, f"{where}.ResourceConfig.InstanceCount is {count!r}. Here it is a number from 1 to {MAX_HOSTS}."
    elif count > 1 and not hosts_possible:
        yield (
            True,
            f"{where}: {count} instances need namespaces, which this run does not have. Use InstanceCount 1 for a local run.",
        )
    elif count > 1:
        for index, channel in enumerate(channels if isinstance(channels, list) else ()):
            if dig(channel, "DataSource", "S3DataSource", "S3DataDistributionType") == "ShardedByS3Key":
                yield (
                    True,
                    f"{where}.InputDataConfig[{index}]: ShardedByS3Key over {count} instances is not played. Use FullyReplicated.",
                )


def _metrics(definitions: Any, where: str) -> Found:
    for item in definitions if isinstance(definitions, list) else ():
        name, regex = dig(item, "Name"), dig(item, "Regex")
        try:
            ok = not known(regex) or re.compile(str(regex)).groups >= 1
        except re.error as error:
            yield True, f"{where}: the Regex of metric {name!r} is broken: {error}. Mend it."
            continue
        if not ok:
            yield True, f"{where}: the Regex of metric {name!r} has no group. Put the number in parentheses."


def _transform(request: Mapping[str, Any], where: str) -> Found:
    payload = request.get("MaxPayloadInMB")
    if known(payload) and payload is not None and not (_is_int(payload) and 0 <= payload <= 100):
        yield True, f"{where}.MaxPayloadInMB is {payload!r}. Write a number from 0 to 100."
    split = dig(request, "TransformInput", "SplitType")
    if request.get("BatchStrategy") == "SingleRecord" and known(split) and split in (None, "None"):
        yield True, f"{where}: BatchStrategy SingleRecord needs SplitType Line. Write it."


def _model(request: Mapping[str, Any], where: str) -> Found:
    containers = [
        item for item in (request.get("PrimaryContainer"), *(request.get("Containers") or ())) if item is not None
    ]
    if len(containers) != 1:
        yield True, f"{where} has {len(containers)} containers. Here a model has exactly one: write PrimaryContainer."
        return
    if not dig(containers[0], "Image"):
        yield True, f"{where}: the container has no Image. Write one."
    if not dig(containers[0], "ModelDataUrl") and not dig(containers[0], "ModelDataSource"):
        yield True, f"{where}: the container has no ModelDataUrl. Write where model.tar.gz lies."


def _register(request: Mapping[str, Any], where: str) -> Found:
    status = request.get("ModelApprovalStatus")
    if known(status) and status not in (None, "Approved", "Rejected", "PendingManualApproval"):
        yield True, f"{where}.ModelApprovalStatus is {status!r}. Use Approved, Rejected or PendingManualApproval."
