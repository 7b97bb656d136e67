"""Look up the pipeline that a change starts in the settings of its project."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from events import APPROVAL, PUSH, Change, NotOurs, RouterError

PLACE = {PUSH: "repository_name", APPROVAL: "model_package_group"}
PIPELINE = {PUSH: "build_pipeline", APPROVAL: "deploy_pipeline"}
PIPELINE_NAME = re.compile(r"[A-Za-z0-9.@_-]{1,100}", re.ASCII)


class BrokenSettings(RouterError):
    """The settings of a project cannot be used."""

    def __init__(self, parameter: str, fault: str) -> None:
        super().__init__(f"The SSM parameter {parameter} {fault}: update the project's product, which writes it again.")


def pipeline_of(client: Any, change: Change) -> str:
    """Give the name of the pipeline. Raises NotOurs when no living project owns the place of the change.

    The name alone proves nothing: anybody may give such a name to a repository of their own.
    """
    parameter = f"/mlops/projects/{change.project}/settings"
    settings = _read(client, parameter)
    own = {"project_name": change.project, "project_id": change.project_id, PLACE[change.kind]: change.place}
    if other := [name for name, value in own.items() if settings.get(name) != value]:
        raise NotOurs(f"{parameter} has another {', '.join(other)} than {change.place}.")
    pipeline = settings.get(PIPELINE[change.kind])
    if not isinstance(pipeline, str) or not PIPELINE_NAME.fullmatch(pipeline):
        raise BrokenSettings(parameter, f"names no {PIPELINE[change.kind]}")
    return pipeline


def _read(client: Any, parameter: str) -> Mapping[str, Any]:
    try:
        text = client.get_parameter(Name=parameter)["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            raise NotOurs(f"There is no {parameter}.") from error
        raise
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise BrokenSettings(parameter, "is no JSON") from error
    if not isinstance(settings, Mapping):
        raise BrokenSettings(parameter, "is no JSON object")
    return settings
