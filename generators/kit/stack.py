"""The identity card of a template. File name, Metadata, taskcat test, launch row and upload list come from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Launch:
    """How a person launches the template from a link: stack name (the version is added) and prefilled parameters."""

    stack_name: str
    prefill: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """Parameter values that taskcat and the emulator launch the template with, `changes` for an update after it, and
    values that have it `fail` after it began, so that a rollback can be seen."""

    parameters: Mapping[str, str]
    changes: Mapping[str, str] = field(default_factory=dict)
    fail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stack:
    """The card. `name` is the file name without `.yaml`; `groups` is the order of the console form; `nested_in` the template
    that launches this one by its published URL, when no person does."""

    name: str
    title: str
    summary: str
    account: str
    groups: tuple[str, ...]
    trial: Trial
    needs: tuple[str, ...] = ()
    launch: Launch | None = None
    nested_in: str = ""
