"""Where a definition is played: folders, store, registry, interpreter, and what is known of each image."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from .registry import Registry
from .store import Store

Mode = Literal["auto", "namespaces", "mapped"]
Say = Callable[[str], None]
OnStep = Callable[[str, str, str, float, str], None]
Authorize = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Image:
    """What is known of a container image: whose it is, what it holds, and what `dependencies` adds to it.

    `packages` maps distribution to version; None means that nothing is known, so imports are not checked and that is told once.
    """

    purpose: str = ""
    packages: Mapping[str, str] | None = None
    dependencies: Path | None = None


def unknown_image(uri: str) -> Image:
    """Answer for an image of which nothing is known."""
    return Image()


ImageOf = Callable[[str], Image]


class ProjectFacts(Protocol):
    """The part of a project that a pipeline's names and ARNs are made of; `mlops_cicd.project.Project` has it."""

    @property
    def pipeline_name(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def account_id(self) -> str: ...
    @property
    def partition(self) -> str: ...


@dataclass(frozen=True)
class Place:
    """One machine: runs go to `folder`/<execution id>/, pip's folders for `dependencies` to `cache` (None: `folder`/cache)."""

    folder: Path
    store: Store
    registry: Registry
    python: Path
    image_of: ImageOf = unknown_image
    cache: Path | None = None
    mode: Mode = "auto"


def no_authorize(operation: str, request: Mapping[str, Any]) -> None:
    """Allow everything: the default of `authorize`."""


def no_step(name: str, kind: str, status: str, seconds: float, detail: str) -> None:
    """Report nothing: the default of `on_step`."""


def say_line(line: str) -> None:
    """Print one line for a person."""
    print(line, file=sys.stdout, flush=True)


@dataclass(frozen=True)
class Job:
    """One job: its name, its new folder (sandbox and log), and the place it runs in. Times are seconds.

    `timeout` counts on top of the request's StoppingCondition: the shorter one ends the job. Setting `stop` ends it.
    """

    name: str
    folder: Path
    store: Store
    python: Path
    region: str
    image_of: ImageOf = unknown_image
    cache: Path | None = None
    mode: Mode = "auto"
    account_id: str = "000000000000"
    partition: str = "aws"
    timeout: float | None = None
    log: Path | None = None
    say: Say = say_line
    stop: threading.Event | None = field(default=None, compare=False)

    @property
    def log_file(self) -> Path:
        """Say where the job's log is written."""
        return self.log or self.folder / "job.log"

    def arn(self, kind: str) -> str:
        """Make the ARN that the service would give a job of this kind, such as `training-job`."""
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account_id}:{kind}/{self.name}"
