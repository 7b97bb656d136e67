"""Write the messages about a project: plain, short, with the next steps. Calls nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Lengths keep a subject below 100 characters: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
NAME = re.compile(r"(?=.{1,32}\Z)[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
ID = re.compile(r"p-[a-z0-9]{1,18}", re.ASCII)
VERSION = re.compile(r"[A-Za-z0-9.+-]{1,30}", re.ASCII)
WEB = re.compile(r"https://[!-~]{1,500}", re.ASCII)
FRAMEWORK = re.compile(r"[A-Za-z0-9._-]{1,40}", re.ASCII)


class ProjectReadyError(Exception):
    """Base of what this function raises on its own."""


class BadProperty(ProjectReadyError):
    """A property cannot stand in a message."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The property {name} is missing or no such thing: mend the template.")


@dataclass(frozen=True)
class Message:
    """An e-mail in plain text."""

    subject: str
    text: str


def ready(properties: Mapping[str, Any], place: str) -> Message:
    """Say that a project can be used, and how to begin. `place` names account and region. Raises BadProperty."""
    project, project_id = _project(properties)
    framework = _given(properties, "Framework", FRAMEWORK)
    repository, studio = _given(properties, "RepositoryUrl", WEB), _given(properties, "StudioLink", WEB)
    return Message(
        f"ML project {project} is ready",
        f"The machine learning project {project} ({project_id}, {framework}) is ready in {place}.\n\n"
        "What comes next:\n\n"
        '1. The admin adds its people: launch the Service Catalog product "Studio user" once for each person, with '
        f"ProjectName {project}.\n"
        f"2. A data scientist opens their own profile in Studio: {studio}\n"
        f"3. The project's code is in this repository, branch main: {repository}\n",
    )


def updated(properties: Mapping[str, Any], old: Mapping[str, Any], place: str) -> Message | None:
    """Say that the version of the project's template changed; None when it did not. Raises BadProperty."""
    if properties.get("Version") == old.get("Version"):
        return None
    project, project_id = _project(properties)
    version = _given(properties, "Version", VERSION)
    before = old.get("Version")
    was = f" It was {before}." if isinstance(before, str) and VERSION.fullmatch(before) else ""
    return Message(
        f"ML project {project} is now on version {version}",
        f"The machine learning project {project} ({project_id}) in {place} is now on version {version} of the platform.{was}\n\n"
        "Nothing has to be done. Spaces that run keep what they have; restart a space to get what is new.\n",
    )


def removed(properties: Mapping[str, Any], place: str) -> Message:
    """Say that a project goes, and what stays of it. Raises BadProperty."""
    project, project_id = _project(properties)
    return Message(
        f"ML project {project} is being removed",
        f"The machine learning project {project} ({project_id}) is being removed from {place}.\n\n"
        "What a project in use has stored stays: its bucket, repository, images and model versions, under names that "
        f"begin with {project}-{project_id}. When nobody needs them, an administrator deletes them by hand.\n",
    )


def _project(properties: Mapping[str, Any]) -> tuple[str, str]:
    return _given(properties, "ProjectName", NAME), _given(properties, "ProjectId", ID)


def _given(properties: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = properties.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BadProperty(name)
    return value
