"""The identity card of a template. File name, Metadata, taskcat test, launch row and upload list come from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


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
class Product:
    """How a person launches the template from Service Catalog. `title` is the product's name there; `in_studio` shows it among
    Studio's project templates; `may(given)` gives the statements of its launch role, where `given` names the catalogue's
    parameters, `also(given)` those that stand in a managed policy, since a role has room for 10,240 characters of inline ones,
    and `accept` what linters find in it that is right."""

    title: str
    description: str
    role: str
    may: Callable[[Any], list[Any]]
    also: Callable[[Any], list[Any]] | None = None
    in_studio: bool = False
    accept: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Stack:
    """The card. `name` is the file name without `.yaml`; `groups` is the order of the console form. A person launches it from
    a link (`launch`) or from the catalogue (`product`), or another template does by its published URL (`nested_in`)."""

    name: str
    title: str
    summary: str
    account: str
    groups: tuple[str, ...]
    trial: Trial
    needs: tuple[str, ...] = ()
    launch: Launch | None = None
    nested_in: str = ""
    product: Product | None = None
