"""Reads a pipeline definition of schema 2020-12-01 and says, before anything runs, whether and in which order it can be played."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_cicd.errors import nearest

from .conditions import condition_problems
from .errors import DefinitionError
from .expressions import Values, gets, problems
from .needs import look
from .requests import RULES, dig, known

SCHEMA = "2020-12-01"
STEP_TYPES = (*RULES, "Condition")
_TOP = ("Version", "Metadata", "Parameters", "PipelineExperimentConfig", "ParallelismConfiguration", "Steps")
_STEP = (
    "Name",
    "Type",
    "Arguments",
    "DependsOn",
    "DisplayName",
    "Description",
    "RetryPolicies",
    "CacheConfig",
    "PropertyFiles",
)
_CASTS: Mapping[str, Any] = {"String": str, "Integer": int, "Float": float, "Boolean": bool}
_NAME = re.compile(r"[A-Za-z0-9\-_]{1,64}")


@dataclass(frozen=True)
class Step:
    """One step, wherever it stands; `branch` is the condition step and the outcome that lead to it."""

    name: str
    type: str
    body: Mapping[str, Any]
    needs: frozenset[str]
    branch: tuple[str, bool] | None

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Give the step's Arguments."""
        return self.body["Arguments"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Plan:
    """What will be played: the steps in their order, the parameters' values, the images used, and the lines to tell first."""

    steps: tuple[Step, ...]
    parameters: Mapping[str, Any]
    images: tuple[str, ...]
    told: tuple[str, ...]


def plan(
    definition: Mapping[str, Any],
    given: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
    hosts_possible: bool = True,
) -> Plan:
    """Check a definition with its parameters; DefinitionError with all problems when it cannot be played."""
    wrong: list[str] = []
    if not isinstance(definition, Mapping):
        raise DefinitionError(["A pipeline definition is a JSON object. Give one with Version and Steps."])
    wrong += _top_problems(definition)
    parameters = _parameters(definition.get("Parameters") or [], given or {}, wrong)
    steps = list(_flat(definition.get("Steps"), None, "Steps", wrong))
    names = [step.name for step in steps]
    wrong += [
        f"Step {name} is there twice. Rename one of the two." for name in dict.fromkeys(names) if names.count(name) > 1
    ]
    for step in steps:
        wrong += _reference_problems(step, {item.name: item for item in steps}, parameters)
    if wrong:  # what follows reads the values, so the names must be right
        raise DefinitionError(list(dict.fromkeys(wrong)))
    told, images = _look_at(steps, parameters, variables or {}, hosts_possible, wrong)
    ordered = _ordered(steps, wrong)
    if wrong:
        raise DefinitionError(list(dict.fromkeys(wrong)))
    return Plan(tuple(ordered), parameters, tuple(images), tuple(told))


def _top_problems(definition: Mapping[str, Any]) -> Iterator[str]:
    version = definition.get("Version")
    if version != SCHEMA:
        yield f"Version is {version!r}. Only definitions of schema {SCHEMA} are played: write it."
    for key in definition:
        if key not in _TOP:
            near = nearest(str(key), _TOP)
            yield f"The key {key!r} of the definition is not known here. " + (
                f"Did you mean {near}?" if near else "Leave it out."
            )
    if not isinstance(definition.get("Steps"), list) or not definition["Steps"]:
        yield "Steps is no list with steps. Write at least one step."


def _parameters(declared: Any, given: Mapping[str, Any], wrong: list[str]) -> dict[str, Any]:
    """Give every parameter its value, the type checked; what is wrong goes to `wrong`."""
    values: dict[str, Any] = {}
    if not isinstance(declared, list):
        wrong.append("Parameters is no list. Write a list of objects with Name and Type.")
        declared = []
    for item in declared:
        name, kind = dig(item, "Name"), dig(item, "Type") or "String"
        if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(kind, str) or kind not in _CASTS:
            wrong.append(f"Parameter {name!r} of type {kind!r} is not understood. Types are {', '.join(_CASTS)}.")
        elif name in values:
            wrong.append(f"Parameter {name} is there twice. Rename one of the two.")
        elif unknown := set(item) - {"Name", "Type", "DefaultValue", "Description", "EnumValues"}:
            wrong.append(f"Parameter {name}: the key {sorted(unknown)[0]!r} is not known here. Leave it out.")
        elif name not in given and item.get("DefaultValue") is None:
            wrong.append(f"Parameter {name} has no DefaultValue. Give it a value for this run.")
            values[name] = None
        else:
            values[name] = _typed(name, kind, given.get(name, item.get("DefaultValue")), wrong)
            if item.get("EnumValues") and values[name] not in item["EnumValues"]:
                wrong.append(
                    f"Parameter {name} is {values[name]!r}. Use one of {', '.join(map(str, item['EnumValues']))}."
                )
    for name in given:
        if name not in values:
            near = nearest(name, values)
            known_ones = f"Did you mean {near}?" if near else f"It has {', '.join(values) or 'none'}."
            wrong.append(f"The definition has no parameter {name!r}. {known_ones}")
    return values


def _typed(name: str, kind: str, value: Any, wrong: list[str]) -> Any:
    """Take a value of the declared type, or its text (StartPipelineExecution gives all values as text)."""
    if isinstance(value, str) and kind != "String":
        try:
            return {"true": True, "false": False}[value.lower()] if kind == "Boolean" else _CASTS[kind](value)
        except (KeyError, ValueError):
            pass
    elif type(value) is _CASTS[kind]:
        return value
    elif kind == "Float" and type(value) is int:
        return float(value)
    wrong.append(f"Parameter {name} is {value!r}, which is no {kind}. Give a value of that type.")
    return None


def _flat(steps: Any, branch: tuple[str, bool] | None, where: str, wrong: list[str]) -> Iterator[Step]:
    for index, body in enumerate(steps if isinstance(steps, list) else ()):
        name, kind = dig(body, "Name"), dig(body, "Type")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            wrong.append(
                f"{where}[{index}]: the Name {name!r} is no name of a step. Use letters, digits, hyphen, underscore."
            )
            continue
        if kind not in STEP_TYPES:
            wrong.append(f"Step {name}: steps of type {kind!r} are not played here. Types are {', '.join(STEP_TYPES)}.")
            continue
        if not isinstance(body.get("Arguments"), Mapping):
            wrong.append(f"Step {name} has no Arguments. Write them.")
            continue
        wrong += _step_problems(name, kind, body)
        own = {key: item for key, item in body["Arguments"].items() if kind != "Condition" or key == "Conditions"}
        try:
            needed = {str(parts[1]) for parts in gets(own) if parts[0] == "Steps" and len(parts) > 1}
        except ValueError:
            needed = set()  # told as a problem of the expression
        depends = body["DependsOn"] if isinstance(body.get("DependsOn"), list) else []
        needed |= {item for item in depends if isinstance(item, str)} | ({branch[0]} if branch else set())
        yield Step(name, kind, body, frozenset(needed), branch)
        if kind == "Condition":
            yield from _flat(body["Arguments"].get("IfSteps") or [], (name, True), f"{name}.IfSteps", wrong)
            yield from _flat(body["Arguments"].get("ElseSteps") or [], (name, False), f"{name}.ElseSteps", wrong)


def _step_problems(name: str, kind: str, body: Mapping[str, Any]) -> Iterator[str]:
    for key in body:
        if key not in _STEP or (key == "PropertyFiles" and kind != "Processing"):
            near = nearest(str(key), _STEP)
            yield f"Step {name}: the key {key!r} is not known here. " + (
                f"Did you mean {near}?" if near else "Leave it out."
            )
    depends = body.get("DependsOn") or []
    if not isinstance(depends, list) or not all(isinstance(item, str) for item in depends):
        yield f"Step {name}: DependsOn is no list of names. Write one."
    if kind != "Condition":
        yield from problems(body["Arguments"], name)
        yield from _property_file_problems(name, body)
        return
    conditions = body["Arguments"].get("Conditions")
    if unknown := set(body["Arguments"]) - {"Conditions", "IfSteps", "ElseSteps"}:
        yield f"Step {name}: the key {sorted(unknown)[0]!r} is not known here. Arguments are Conditions, IfSteps, ElseSteps."
    if not isinstance(conditions, list) or not conditions:
        yield f"Step {name} has no list of Conditions. Write at least one."
        return
    for index, condition in enumerate(conditions):
        yield from condition_problems(condition, f"{name}.Conditions[{index}]")


def _property_file_problems(name: str, body: Mapping[str, Any]) -> Iterator[str]:
    outputs = dig(body, "Arguments", "ProcessingOutputConfig", "Outputs")
    names = [dig(item, "OutputName") for item in outputs] if isinstance(outputs, list) else []
    files = body.get("PropertyFiles") or []
    if not isinstance(files, list):
        yield f"Step {name}: PropertyFiles is no list. Write one."
        return
    for item in files:
        if not isinstance(item, Mapping) or set(item) != {"PropertyFileName", "OutputName", "FilePath"}:
            yield f"Step {name}: a property file has PropertyFileName, OutputName and FilePath. Write them."
        elif item["OutputName"] not in names:
            what = f"property file {item['PropertyFileName']} names output {item['OutputName']!r}"
            yield f"Step {name}: {what}, which the step does not have. Mend the name."


def _reference_problems(step: Step, steps: Mapping[str, Step], parameters: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(step.needs - set(steps)):
        near = nearest(name, steps)
        yield f"Step {step.name} needs step {name}, which is not there. " + (
            f"Did you mean {near}?" if near else "Mend the name."
        )
    own = step.arguments if step.type != "Condition" else step.arguments.get("Conditions")
    try:
        found = list(gets(own))
    except ValueError:
        return  # told already
    for parts in found:
        if parts[0] == "Parameters" and len(parts) > 1 and parts[1] not in parameters:
            near = nearest(str(parts[1]), parameters)
            mend = f"Did you mean {near}?" if near else "Declare it."
            yield f"Step {step.name}: there is no parameter {parts[1]}. {mend}"
        elif parts[0] == "Steps" and len(parts) == 4 and parts[2] == "PropertyFiles" and parts[1] in steps:
            held = steps[str(parts[1])].body.get("PropertyFiles")
            files = [dig(item, "PropertyFileName") for item in held] if isinstance(held, list) else []
            if parts[3] not in files:
                yield f"Step {step.name}: step {parts[1]} has no property file {parts[3]}. Name it in that step's PropertyFiles."


def _look_at(
    steps: Sequence[Step],
    parameters: Mapping[str, Any],
    variables: Mapping[str, Any],
    hosts_possible: bool,
    wrong: list[str],
) -> tuple[list[str], list[str]]:
    """Hold every request against what is played; gives the lines to tell and the images used."""
    early = Values(parameters, variables, {}, early=True)
    told: dict[str, None] = {}
    images: dict[str, None] = {}
    for step in steps:
        if step.body.get("RetryPolicies"):
            told["not played: RetryPolicies (a step that fails is not tried again)"] = None
        if dig(step.body, "CacheConfig", "Enabled"):
            told["not played: CacheConfig (every step runs)"] = None
        if step.type == "Condition":
            continue
        request = early.resolve(step.arguments)
        verdict = look(step.type, request, step.name, hosts_possible)
        wrong += verdict.problems
        told |= dict.fromkeys(verdict.told)
        for uri in _images(request):
            images[uri] = None
    return list(told), list(images)


def _images(request: Any) -> Iterator[str]:
    for path in (
        ("AppSpecification", "ImageUri"),
        ("AlgorithmSpecification", "TrainingImage"),
        ("PrimaryContainer", "Image"),
    ):
        uri = dig(request, *path)
        if known(uri) and isinstance(uri, str):
            yield uri
    for container in request.get("Containers") or ():
        if isinstance(dig(container, "Image"), str):
            yield container["Image"]


def _ordered(steps: Sequence[Step], wrong: list[str]) -> list[Step]:
    """Order the steps so that each comes after what it needs, otherwise as they are written."""
    todo, done, ordered = list(steps), set[str](), list[Step]()
    while todo:
        ready = next((step for step in todo if step.needs <= done), None)
        if ready is None:
            wrong.append(
                f"Steps {', '.join(step.name for step in todo)} wait for each other. Take one reference or DependsOn away."
            )
            return []
        todo.remove(ready)
        done.add(ready.name)
        ordered.append(ready)
    return ordered
