"""What one key alone can't tell: rules between the keys of a configuration, and against what AWS has.

They look at plain values, so that they speak together with the problems of single keys. A value of the wrong kind is left
to the model, which reports it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session

from mlops_cicd import images
from mlops_cicd.config.model import ERRORS, METRICS
from mlops_cicd.config.problems import Place
from mlops_cicd.errors import nearest, shown

Broken = tuple[Place, str, str]
# Places of instance types, and the list of SageMaker's API that each must be in.
_INSTANCES = {
    ("preprocess_config", "instance_type"): "ProcessingInstanceType",
    ("train_config", "instance_type"): "TrainingInstanceType",
    ("stages", "staging", "instance_type"): "ProductionVariantInstanceType",
    ("stages", "production", "instance_type"): "ProductionVariantInstanceType",
}
_INSTANCE_LISTS = {
    ("inference_config", "inference_instances"): "ProductionVariantInstanceType",
    ("inference_config", "transform_instances"): "TransformInstanceType",
}
_JOBS = {
    "ProcessingInstanceType": "processing jobs",
    "TrainingInstanceType": "training jobs",
    "TransformInstanceType": "batch transform",
    "ProductionVariantInstanceType": "endpoints",
}
_SENT = "text/csv"


def broken_rules(data: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield each rule that the values break: where, what is wrong, and the mend."""
    yield from _versions(data)
    yield from _machines(data)
    yield from _counts(data)
    yield from _hyperparameters(data)
    yield from _types(data)
    yield from _gates(data)
    yield from _facets(data)
    yield from _stages(data)


def at(data: Any, *place: str | int) -> Any:
    """Return the value at a place, or None."""
    for part in place:
        if isinstance(part, int):
            data = data[part] if isinstance(data, list | tuple) and part < len(data) else None
        else:
            data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _list(data: Any, *place: str | int) -> list[Any]:
    found = at(data, *place)
    return list(found) if isinstance(found, list | tuple) else []


def _versions(data: Mapping[str, Any]) -> Iterator[Broken]:
    for section in ("preprocess_config", "train_config"):
        framework, version = at(data, section, "framework"), at(data, section, "framework_version")
        if framework not in images.FRAMEWORKS or not isinstance(version, str):
            continue
        known = images.supported(framework)
        if version not in known:
            guess = nearest(version, known)
            mend = (
                f"Did you mean {guess}? Supported: {', '.join(known)}." if guess else f"Take one of {', '.join(known)}."
            )
            yield (section, "framework_version"), f"there is no supported image of {framework} {shown(version)}", mend


@cache
def instance_types(kind: str) -> tuple[str, ...]:
    """Return the instance types that SageMaker's API names for a kind of job, as botocore has them."""
    shape: Any = botocore.session.get_session().get_service_model("sagemaker").shape_for(kind)
    return tuple(shape.enum)


def _machines(data: Mapping[str, Any]) -> Iterator[Broken]:
    places: list[tuple[Place, str]] = list(_INSTANCES.items())
    for where, kind in _INSTANCE_LISTS.items():
        places += [((*where, index), kind) for index in range(len(_list(data, *where)))]
    for place, kind in places:
        given = at(data, *place)
        if not isinstance(given, str):
            continue
        if given not in instance_types(kind):
            guess = nearest(given, instance_types(kind))
            mend = f"Did you mean {guess}?" if guess else "Take another, as ml.m5.large."
            yield place, f"SageMaker has no instance type {shown(given)} for {_JOBS[kind]}", mend
        elif images.is_arm(given):
            yield (
                place,
                f"{given} has ARM processors, which AWS's framework images don't run on",
                "Take another, as ml.m5.large.",
            )
    for where in _INSTANCE_LISTS:
        yield from _twice(data, where)


def _twice(data: Mapping[str, Any], where: Place) -> Iterator[Broken]:
    seen: list[Any] = []
    for index, each in enumerate(_list(data, *where)):
        if each in seen:
            yield (*where, index), f"{shown(each)} is in the list twice", "Take it out once."
        seen.append(each)


def _is_many(count: Any) -> bool:
    return type(count) is int and count > 1


def _counts(data: Mapping[str, Any]) -> Iterator[Broken]:
    place: Place = ("preprocess_config", "instance_count")
    if _is_many(at(data, *place)) and at(data, "preprocess_config", "framework") != "pyspark":
        yield place, "several machines would each do the whole work", "Write 1, or take framework: pyspark."
    train = at(data, "train_config")
    distribution, framework = at(train, "distribution"), at(train, "framework")
    if _is_many(at(train, "instance_count")) and distribution is None:
        yield (
            ("train_config", "instance_count"),
            "several machines would each train a model of their own",
            "Write 1, or add a distribution.",
        )
    if distribution == "framework" and framework == "sklearn":
        yield (
            ("train_config", "distribution"),
            "scikit-learn has no distributed training of its own",
            "Take it out, or take framework: xgboost.",
        )


def _hyperparameters(data: Mapping[str, Any]) -> Iterator[Broken]:
    values = at(data, "train_config", "hyperparameters")
    for key, value in values.items() if isinstance(values, Mapping) else ():
        place = ("train_config", "hyperparameters", key)
        # It becomes an option of the entrypoint: --NAME VALUE.
        if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", str(key)):
            yield place, "no option can have this name", "Take letters, digits, hyphens and underscores."
        elif value is None:
            yield place, "there is no value", "Write a text, a number, true or false after the colon."
        elif not isinstance(value, str | int | float):
            yield (
                place,
                "the value is a list or a map",
                "Write a text, a number, true or false; several as a text, as '64,32'.",
            )
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html: values of 2,500 characters.
        elif len(str(value)) > 2500:
            yield (
                place,
                f"the value has {len(str(value))} characters",
                "SageMaker takes 2500; put long values into a file in train/.",
            )
        elif isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            yield place, f"{shown(value)} is no number to train with", "Write a finite number."


def _types(data: Mapping[str, Any]) -> Iterator[Broken]:
    section = at(data, "inference_config")
    for key, why in (
        ("supported_input_types", "evaluation and batch send it"),
        ("supported_output_types", "they read it"),
    ):
        known = _list(section, key)
        if known and _SENT not in known:
            yield (
                ("inference_config", key),
                f"{_SENT} is not in the list, and {why}",
                f"Add {_SENT}, and have the code take it.",
            )
        yield from _twice(data, ("inference_config", key))
    for index in range(len(_list(section, "samples"))):
        for key, types in (("content_type", "supported_input_types"), ("accept", "supported_output_types")):
            given, known = at(section, "samples", index, key), _list(section, types)
            if isinstance(given, str) and known and given not in known:
                place = ("inference_config", "samples", index, key)
                yield (
                    place,
                    f"{shown(given)} is not in {types}",
                    f"Add it there, or take one of {', '.join(map(str, known))}.",
                )


def _gates(data: Mapping[str, Any]) -> Iterator[Broken]:
    section = at(data, "quality_gate")
    if not isinstance(section, Mapping):
        return
    if "metric" in section or not any(key in METRICS for key in section):
        known = tuple(dict.fromkeys(metric for metrics in METRICS.values() for metric in metrics))
        yield from _gate(section, ("quality_gate",), known, "a metric of the model quality report")
        return
    for problem_type, metrics in METRICS.items():
        gate = section.get(problem_type)
        if isinstance(gate, Mapping):
            yield from _gate(gate, ("quality_gate", problem_type), metrics, f"a metric of {problem_type}")


def _gate(gate: Mapping[str, Any], place: Place, known: tuple[str, ...], word: str) -> Iterator[Broken]:
    metric, comparison, threshold = gate.get("metric"), gate.get("comparison"), gate.get("threshold")
    if not isinstance(metric, str):
        return
    if metric not in known:
        guess = nearest(metric, known)
        mend = f"Did you mean {guess}?" if guess else f"Take one of {', '.join(known)}."
        yield (*place, "metric"), f"{shown(metric)} is not {word}", mend
        return
    wanted = "LessThan" if metric in ERRORS else "GreaterThan"
    if (
        isinstance(comparison, str)
        and comparison.startswith(("LessThan", "GreaterThan"))
        and not comparison.startswith(wanted)
    ):
        better = "lower" if metric in ERRORS else "higher"
        yield (
            (*place, "comparison"),
            f"{metric} is better the {better} it is, and {comparison} would register the worse models",
            f"Take {wanted}OrEqualTo.",
        )
    if type(threshold) in (int, float) and not _can_be(metric, float(threshold)):  # type: ignore[arg-type]
        yield (*place, "threshold"), f"{metric} can't be {threshold}", f"Write a number {_range(metric)}."


def _can_be(metric: str, threshold: float) -> bool:
    if metric in ERRORS:
        return threshold >= 0
    return threshold <= 1 if metric == "r2" else 0 <= threshold <= 1


def _range(metric: str) -> str:
    if metric in ERRORS:
        return "of 0 or more"
    return "of 1 or less" if metric == "r2" else "from 0 to 1"


def _facets(data: Mapping[str, Any]) -> Iterator[Broken]:
    target = at(data, "data_config", "target")
    seen: list[Any] = []
    for index in range(len(_list(data, "bias_config", "facets"))):
        place = ("bias_config", "facets", index)
        name = at(data, *place, "name")
        if isinstance(name, str) and name == target:
            yield (*place, "name"), f"{shown(name)} is the target", "Name a column that tells groups of people apart."
        elif isinstance(name, str) and name in seen:
            yield (*place, "name"), f"{shown(name)} is a facet twice", "Join both, or take one out."
        seen.append(name)


def _stages(data: Mapping[str, Any]) -> Iterator[Broken]:
    production: Place = ("stages", "production")
    count = at(data, *production, "instance_count")
    # https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green-canary.html: half of the fleet at most.
    if at(data, *production, "canary") is not None and count == 1:
        yield (
            (*production, "canary"),
            "a canary needs two instances or more",
            "Write instance_count: 2, or take the canary out.",
        )
    lowest, highest = (at(data, *production, "autoscaling", key) for key in ("min_instances", "max_instances"))
    if type(lowest) is int and type(highest) is int and lowest > highest:
        place = (*production, "autoscaling", "max_instances")
        yield place, f"{highest} is fewer than min_instances", f"Write {lowest} or more."
