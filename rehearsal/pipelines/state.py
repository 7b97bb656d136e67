"""What CodePipeline knows of pipelines and executions, and who may enter a stage.

https://docs.aws.amazon.com/codepipeline/latest/userguide/concepts-how-it-works.html"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rehearsal.acting import Place, now
from rehearsal.services import Json

ENDED = ("Cancelled", "Failed", "Stopped", "Succeeded", "Superseded")


@dataclass
class ActionRun:
    """One action of one execution."""

    id: str
    execution: Execution
    stage: str
    action: Json
    status: str = "InProgress"
    started: datetime = field(default_factory=now)
    changed: datetime = field(default_factory=now)
    summary: str = ""
    external_id: str = ""
    external_url: str = ""
    log_stream: str = ""
    code: str = ""
    message: str = ""
    revision: Json | None = None
    configuration: dict[str, str] = field(default_factory=dict)  # resolved
    inputs: list[Json] = field(default_factory=list)
    outputs: list[Json] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def end(self, status: str, code: str = "", message: str = "") -> None:
        """Say how the action ended; what was abandoned stays so."""
        if self.status == "InProgress":
            self.status, self.code, self.message, self.changed = status, code, message, now()


@dataclass
class Execution:
    """One run of a pipeline, as the pipeline was when it started."""

    id: str
    place: Place
    pipeline: Json
    trigger: Json
    variables: dict[str, str]
    revisions: dict[str, str]  # action -> revision that was asked for
    status: str = "InProgress"
    summary: str = ""
    started: datetime = field(default_factory=now)
    changed: datetime = field(default_factory=now)
    stages: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # name -> bucket, key, revision
    sources: list[Json] = field(default_factory=list)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    abandon: threading.Event = field(default_factory=threading.Event)
    stopped_for: str = ""

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def end(self, status: str, summary: str = "") -> None:
        """Say how the execution ended."""
        self.status, self.summary, self.changed = status, summary, now()


@dataclass
class Transition:
    """The way into a stage."""

    enabled: bool = True
    reason: str = ""
    by: str = ""
    at: datetime = field(default_factory=now)


class Line:
    """The stages of one pipeline: which execution is in, which ones wait in front, and whether the way is open."""

    def __init__(self, transitions: Mapping[str, Transition]) -> None:
        self.changed = threading.Condition()
        self.transitions = dict(transitions)
        self.waiting: dict[str, list[Execution]] = {}
        self.inside: dict[str, Execution] = {}

    def enter(self, execution: Execution, stage: str) -> bool:
        """Wait until the execution may enter a stage; False when it was stopped or superseded in front of it."""
        mode = execution.pipeline.get("executionMode", "SUPERSEDED")
        with self.changed:
            queue = self.waiting.setdefault(stage, [])
            queue.append(execution)
            if mode == "SUPERSEDED":
                for older in queue[:-1]:
                    older.end("Superseded", f"Superseded by {execution.id}.")
            self.changed.notify_all()
            self.changed.wait_for(
                lambda: execution.stop.is_set() or execution.has_ended or self._is_open(execution, stage, mode)
            )
            queue.remove(execution)
            if execution.stop.is_set() or execution.has_ended:
                self.changed.notify_all()
                return False
            if mode != "PARALLEL":
                self.inside[stage] = execution
            return True

    def leave(self, execution: Execution, stage: str) -> None:
        """Let the next one in."""
        with self.changed:
            if self.inside.get(stage) is execution:
                del self.inside[stage]
            self.changed.notify_all()

    def transition(self, stage: str, is_enabled: bool, by: str, reason: str = "") -> None:
        """Open or close the way into a stage."""
        with self.changed:
            self.transitions[stage] = Transition(is_enabled, reason, by)
            self.changed.notify_all()

    def wake(self) -> None:
        """Let whoever waits look again."""
        with self.changed:
            self.changed.notify_all()

    def _is_open(self, execution: Execution, stage: str, mode: str) -> bool:
        if not self.transitions.setdefault(stage, Transition()).enabled:
            return False
        return mode == "PARALLEL" or (stage not in self.inside and self.waiting[stage][0] is execution)


def parameters(action: Mapping[str, Any]) -> dict[str, str]:
    """Give an action's configuration."""
    return dict(action.get("configuration") or {})
