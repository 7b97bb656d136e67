"""The expressions of a pipeline definition: Get, Std:Join, Std:JsonGet, and the conditions.

Shapes: docs/sagemaker/latest/dg/build-and-manage-propertyfile.md, pipelines-overview.md (the JSON schema that it names), and
what the SDK writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .errors import JobFailed

FUNCTIONS = ("Get", "Std:Join", "Std:JsonGet")
EXECUTION_VARIABLES = (
    "StartDateTime",
    "CurrentDateTime",
    "PipelineName",
    "PipelineArn",
    "PipelineExecutionId",
    "PipelineExecutionArn",
    "TrainingJobName",
    "ProcessingJobName",
)
_TOKEN = re.compile(r"""\.?([^.\[\]'"\s]+)|\[\s*(?:'([^']*)'|"([^"]*)"|(-?\d+))\s*\]""")
_NAMED_BY = ("OutputName", "InputName", "MetricName", "ChannelName", "Key", "Name")


class Unknown:
    """A value that only a step which has not run yet can give; stands in a request that is looked at before the run."""

    def __repr__(self) -> str:
        return "(known when the run gets there)"


UNKNOWN = Unknown()


def tokens(path: str) -> list[str | int]:
    """Split `A.B['c'][0]` into names and indexes; ValueError when it is no such path."""
    if not isinstance(path, str):
        raise ValueError(f"{path!r} is no path. Write it as text.")
    found: list[str | int] = []
    position = 1 if path.startswith("$") else 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if not match:
            raise ValueError(f"{path!r} is no path. Write it as Name.Name['name'][0].")
        plain, single, double, index = match.groups()
        found.append(
            int(index) if index is not None else next(item for item in (plain, single, double) if item is not None)
        )
        position = match.end()
    return found


def function(value: Any) -> str | None:
    """Name the function when `value` is an expression, else None."""
    if isinstance(value, Mapping) and len(value) == 1:
        name = next(iter(value))
        return name if name in FUNCTIONS or str(name).startswith("Std:") else None
    return None


def problems(value: Any, where: str) -> Iterator[str]:
    """Name what is not understood in the expressions below `value`."""
    name = function(value)
    if name == "Get":
        yield from _get_problems(value["Get"], where)
    elif name == "Std:Join":
        yield from _join_problems(value[name], where)
    elif name == "Std:JsonGet":
        yield from _json_get_problems(value[name], where)
    elif name:
        yield f"{where}: the function {name} is not played here. Use {', '.join(FUNCTIONS)}."
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from problems(item, f"{where}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from problems(item, f"{where}[{index}]")


def _get_problems(path: Any, where: str) -> Iterator[str]:
    try:
        parts = tokens(path)
    except ValueError:
        parts = []
    if len(parts) < 2 or parts[0] not in ("Parameters", "Steps", "Execution") or not isinstance(parts[1], str):
        yield f"{where}: {path!r} gets nothing. Write Parameters.NAME, Steps.NAME.PROPERTY or Execution.VARIABLE."
    elif parts[0] == "Execution" and parts[1] not in EXECUTION_VARIABLES:
        yield f"{where}: Execution.{parts[1]} is no execution variable. Use one of {', '.join(EXECUTION_VARIABLES)}."
    elif parts[0] == "Steps" and len(parts) < 3:
        yield f"{where}: {path!r} names no property of the step. Add one, such as .ModelArtifacts.S3ModelArtifacts."


def _join_problems(body: Any, where: str) -> Iterator[str]:
    ok = isinstance(body, Mapping) and set(body) <= {"On", "Values"} and isinstance(body.get("Values"), list)
    if not ok or not isinstance(body.get("On", ""), str):
        yield f'{where}: Std:Join is {{"On": TEXT, "Values": [..]}}. Write it so.'
        return
    for index, item in enumerate(body["Values"]):
        yield from problems(item, f"{where}.Values[{index}]")


def _json_get_problems(body: Any, where: str) -> Iterator[str]:
    sources = [key for key in ("PropertyFile", "S3Uri") if isinstance(body, Mapping) and key in body]
    if len(sources) != 1 or set(body) != {sources[0], "Path"} or not isinstance(body["Path"], str):
        yield f'{where}: Std:JsonGet is {{"PropertyFile": {{"Get": ..}} or "S3Uri": .., "Path": TEXT}}. Write it so.'
        return
    try:
        tokens(body["Path"])
    except ValueError as error:
        yield f"{where}.Path: {error}"
    if sources == ["PropertyFile"]:
        got = body["PropertyFile"]
        parts = tokens(got["Get"]) if function(got) == "Get" and not list(_get_problems(got["Get"], where)) else []
        if len(parts) != 4 or parts[0] != "Steps" or parts[2] != "PropertyFiles":
            yield f'{where}.PropertyFile: write {{"Get": "Steps.NAME.PropertyFiles.NAME"}}.'
            return
    yield from problems(body[sources[0]], f"{where}.{sources[0]}")


def gets(value: Any) -> Iterator[list[str | int]]:
    """Yield the tokens of every Get below `value`."""
    if function(value) == "Get" and isinstance(value["Get"], str):
        yield tokens(value["Get"])
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from gets(item)
    elif isinstance(value, list):
        for item in value:
            yield from gets(item)


class Values:
    """What expressions read: parameters, execution variables, and the outputs of the steps that have run.

    `read_json(kind, where)` gives the document behind Std:JsonGet: ("PropertyFile", (step, name)) or ("S3Uri", uri).
    With `early` a value of a step that has not run is UNKNOWN, else JobFailed.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        variables: Mapping[str, Any],
        steps: Mapping[str, Mapping[str, Any]],
        read_json: Callable[[str, Any], Any] | None = None,
        early: bool = False,
    ) -> None:
        self.parameters = parameters
        self.variables = variables
        self.steps = steps
        self.read_json = read_json
        self.early = early

    def resolve(self, value: Any) -> Any:
        """Replace every expression below `value` by what it gives."""
        name = function(value)
        if name == "Get":
            return self.get(value["Get"])
        if name == "Std:Join":
            parts = [self.resolve(item) for item in value[name]["Values"]]
            return UNKNOWN if UNKNOWN in parts else value[name].get("On", "").join(map(text, parts))
        if name == "Std:JsonGet":
            return self._json_get(value[name])
        if isinstance(value, Mapping):
            return {key: self.resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        return value

    def get(self, path: str) -> Any:
        """Give what a Get names."""
        root, name, *rest = tokens(path)
        if root == "Parameters":
            return self.parameters[str(name)]
        if root == "Execution":
            if name not in self.variables:
                if self.early:
                    return UNKNOWN
                raise JobFailed(
                    f"Execution.{name} has no value in this step. Use it in the arguments of a job of that kind."
                )
            return self.variables[str(name)]
        if name not in self.steps:
            if self.early:
                return UNKNOWN
            raise JobFailed(f"{path}: step {name} did not run. Use it only where it has run.")
        return _walk(self.steps[str(name)], rest, path)

    def _json_get(self, body: Mapping[str, Any]) -> Any:
        if self.early or self.read_json is None:
            return UNKNOWN
        if "PropertyFile" in body:
            parts = tokens(body["PropertyFile"]["Get"])
            what, document = (
                f"property file {parts[3]} of step {parts[1]}",
                self.read_json("PropertyFile", (parts[1], parts[3])),
            )
        else:
            uri = self.resolve(body["S3Uri"])
            what, document = uri, self.read_json("S3Uri", uri)
        found = _walk(document, tokens(body["Path"]), f"{body['Path']} in {what}")
        if isinstance(found, Mapping | list):
            raise JobFailed(
                f"{body['Path']} in {what} is no single value. Let the path end at a number, a text or a boolean."
            )
        return found


def text(value: Any) -> str:
    """Write a value as the service joins it: booleans in JSON's spelling."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _walk(document: Any, path: Sequence[str | int], what: str) -> Any:
    current = document
    for token in path:
        try:
            current = _child(current, token)
        except (KeyError, IndexError, TypeError, StopIteration):
            has = ", ".join(map(str, current)) if isinstance(current, Mapping) else type(current).__name__
            raise JobFailed(
                f"{what}: there is no {token!r} (there is: {has}). Mend the path, or what writes the value."
            ) from None
    return current


def _child(current: Any, token: str | int) -> Any:
    if isinstance(current, list) and isinstance(token, str):
        if token.isdigit():
            return current[int(token)]
        return next(item for item in current if any(item.get(key) == token for key in _NAMED_BY))
    if isinstance(current, Mapping):
        return current[str(token)]
    if isinstance(current, str):
        raise TypeError
    return current[token]
