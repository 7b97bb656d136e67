"""Plays one step of a definition: resolves its arguments, makes its job, model or package, and gives what references read."""

from __future__ import annotations

import json
import secrets
import string
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .conditions import holds, told
from .definition import Step
from .errors import JobFailed, PlaceError, RegistryError, StoreError
from .expressions import Values
from .jobs import now, play_processing, play_training
from .needs import look
from .place import Authorize, Job, Place, ProjectFacts, Say
from .requests import dig
from .sandbox import isolation
from .serving import container, model_data, play_transform

_NAME_KEYS = {
    "Processing": "ProcessingJobName",
    "Training": "TrainingJobName",
    "Transform": "TransformJobName",
    "Model": "ModelName",
}
_VARIABLES = {"Processing": "ProcessingJobName", "Training": "TrainingJobName"}
_OPERATIONS = {
    "Processing": "CreateProcessingJob",
    "Training": "CreateTrainingJob",
    "Transform": "CreateTransformJob",
    "Model": "CreateModel",
    "RegisterModel": "CreateModelPackage",
}
NAME_LENGTH = 63


@dataclass(frozen=True)
class Playing:
    """A run under way, as its steps see it."""

    where: Place
    project: ProjectFacts
    folder: Path
    cache: Path
    variables: Mapping[str, Any]
    parameters: Mapping[str, Any]
    say: Say
    authorize: Authorize
    stop: threading.Event

    def job_folder(self, step: Step) -> Path:
        """Say where a step's sandbox and log lie."""
        return self.folder / "steps" / step.name


@dataclass(frozen=True)
class Result:
    """What a step gave: the output that references read, one line for a person, and a condition's outcome."""

    output: Mapping[str, Any]
    detail: str = ""
    outcome: bool | None = None


def play(step: Step, outputs: Mapping[str, Mapping[str, Any]], playing: Playing) -> Result:
    """Play one step; JobFailed when it fails, whatever the reason."""
    try:
        return _play(step, outputs, playing)
    except (PlaceError, StoreError, RegistryError) as error:
        raise JobFailed(f"ClientError: {error}") from error
    except OSError as error:
        raise JobFailed(f"ClientError: {error}. Free or mend that place on this machine.") from error


def _play(step: Step, outputs: Mapping[str, Mapping[str, Any]], playing: Playing) -> Result:
    name = job_name(step, playing)
    own = {_VARIABLES[step.type]: name} if step.type in _VARIABLES else {}
    variables = {**playing.variables, "CurrentDateTime": now(), **own}
    values = Values(
        playing.parameters, variables, outputs, read_json=lambda kind, what: _document(kind, what, outputs, playing)
    )
    if step.type == "Condition":
        conditions = step.arguments["Conditions"]
        met = [holds(item, values) for item in conditions]  # all of them, so that a broken one shows
        outcome = all(met)
        line = " and ".join(told(item, values) for item in conditions)
        return Result({"Outcome": str(outcome)}, f"{line}: {'met' if outcome else 'not met'}", outcome)
    request = _without_none(values.resolve(step.arguments))
    if step.type == "Fail":
        raise JobFailed(str(request.get("ErrorMessage") or f"The Fail step {step.name} was reached."))
    verdict = look(step.type, request, step.name, hosts_possible=not isolation(playing.where.mode).mapped)
    if verdict.problems:  # values that only a step could give
        raise JobFailed("\n".join(verdict.problems))
    if step.type in _NAME_KEYS:
        request = {**request, _NAME_KEYS[step.type]: name}
    playing.authorize(_OPERATIONS[step.type], request)
    return _PLAYERS[step.type](step, request, name, playing)


def _without_none(value: Any) -> Any:
    """Leave out what is null: the SDK writes keys that were not given so."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def job_name(step: Step, playing: Playing) -> str:
    """Make a job's name as the service does: a prefix, the execution's id, and letters of its own."""
    key = _NAME_KEYS.get(step.type)
    early = Values(playing.parameters, playing.variables, {}, early=True)
    prefix = early.resolve(step.arguments.get(key)) if key else None
    random = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(10))
    ending = f"{playing.variables['PipelineExecutionId']}-{random}"
    if isinstance(prefix, str) and prefix:
        return f"{prefix[: NAME_LENGTH - len(ending) - 1].rstrip('-')}-{ending}"
    middle = step.name[: NAME_LENGTH - len(f"pipelines-{ending}-")].replace("_", "-").strip("-")
    return f"pipelines-{playing.variables['PipelineExecutionId']}-{middle}-{random}"


def _document(kind: str, what: Any, outputs: Mapping[str, Mapping[str, Any]], playing: Playing) -> Any:
    """Read the JSON document behind a Std:JsonGet from the store."""
    uri = what if kind == "S3Uri" else dig(outputs.get(what[0]), "PropertyFiles", what[1])
    if not isinstance(uri, str):
        raise JobFailed(f"Step {what[0]} has no property file {what[1]}: it did not run. Use it only where it has run.")
    folder = playing.folder / "documents" / secrets.token_hex(6)
    try:
        files = playing.where.store.download(uri, folder)
        if len(files) != 1:
            raise StoreError(f"{uri} is not one file.")
        return json.loads(Path(files[0]).read_text(encoding="utf-8"))
    except StoreError as error:
        raise JobFailed(f"ClientError: {uri} is not there: let the step write it. {error}") from error
    except (UnicodeDecodeError, ValueError) as error:
        raise JobFailed(f"ClientError: {uri} is no JSON: {error}. Let the step write JSON there.") from error


def _job(step: Step, name: str, playing: Playing) -> Job:
    where, project = playing.where, playing.project
    return Job(
        name=name,
        folder=playing.job_folder(step),
        store=where.store,
        python=where.python,
        region=project.region,
        image_of=where.image_of,
        cache=playing.cache,
        mode=where.mode,
        account_id=project.account_id,
        partition=project.partition,
        say=playing.say,
        stop=playing.stop,
    )


def _processing(step: Step, request: dict[str, Any], name: str, playing: Playing) -> Result:
    described = play_processing(request, _job(step, name, playing))
    places = {
        item["OutputName"]: item["S3Output"]["S3Uri"]
        for item in dig(request, "ProcessingOutputConfig", "Outputs") or ()
    }
    files = {
        item["PropertyFileName"]: f"{places[item['OutputName']].rstrip('/')}/{PurePosixPath(item['FilePath'])}"
        for item in step.body.get("PropertyFiles") or ()
    }
    return Result({**described, "PropertyFiles": files}, described.get("ExitMessage", ""))


def _training(step: Step, request: dict[str, Any], name: str, playing: Playing) -> Result:
    described = play_training(request, _job(step, name, playing))
    return Result(
        described, ", ".join(f"{item['MetricName']} {item['Value']:g}" for item in described["FinalMetricDataList"])
    )


def _transform(step: Step, request: dict[str, Any], name: str, playing: Playing) -> Result:
    model = playing.where.registry.describe_model(request["ModelName"])
    described = play_transform(request, model, _job(step, name, playing))
    return Result(described, f"{described['Records']} records")


def _model(step: Step, request: dict[str, Any], name: str, playing: Playing) -> Result:
    _exists(model_data(container(request)), playing)
    asked = {key: item for key, item in request.items() if key != "ModelName"}
    arn = playing.where.registry.create_model(name, asked)
    return Result({**request, "ModelArn": arn}, name)


def _register(step: Step, request: dict[str, Any], name: str, playing: Playing) -> Result:
    for item in request["InferenceSpecification"]["Containers"]:
        if item.get("ModelDataUrl"):
            _exists(item["ModelDataUrl"], playing)
    arn = playing.where.registry.create_model_package(request)
    status = request.get("ModelApprovalStatus", "PendingManualApproval")
    return Result(
        {**request, "ModelPackageArn": arn, "ModelApprovalStatus": status},
        f"{arn.rpartition(':model-package/')[2]} {status}",
    )


def _exists(uri: str, playing: Playing) -> None:
    if uri not in playing.where.store.list(uri):
        raise JobFailed(
            f"ClientError: there is no model data at {uri}. Let the training job write it, or mend the URI."
        )


_PLAYERS = {
    "Processing": _processing,
    "Training": _training,
    "Transform": _transform,
    "Model": _model,
    "RegisterModel": _register,
}
