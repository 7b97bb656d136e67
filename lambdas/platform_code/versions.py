"""Read the properties: which version of the platform, and which seed belongs to which repository. Calls nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST = 10  # repositories, whose seeds are all in memory at once
# As the library writes its versions (pyproject.toml).
VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:(a|b|rc|\.dev)(\d{1,6}))?", re.ASCII)
STAGES = (".dev", "a", "b", "rc", None)  # oldest first; None is the version itself
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
KEY = re.compile(r"(?!.*\.\.)[A-Za-z0-9_.-][A-Za-z0-9_./-]{0,511}\.zip", re.ASCII)
# https://docs.aws.amazon.com/codecommit/latest/userguide/limits.html
NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)


class PlatformCodeError(Exception):
    """Base of what this function raises on its own."""


class BadProperties(PlatformCodeError):
    """The properties cannot be used; the text names all faults."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(f"{'; '.join(faults)}: mend these properties in the template.")


@dataclass(frozen=True)
class Release:
    """A published version: where its seeds are, by the name of the repository that began with it."""

    version: str
    bucket: str
    seeds: Mapping[str, str]

    @property
    def branch(self) -> str:
        """The branch that brings this version."""
        return f"platform/v{self.version}"


def read(properties: Mapping[str, Any]) -> Release:
    """Read the properties. Raises BadProperties, which collects all faults."""
    faults: list[str] = []
    version = _match(properties, "Version", VERSION, faults)
    bucket = _match(properties, "Bucket", BUCKET, faults)
    entries = properties.get("Repositories")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST:
        raise BadProperties([*faults, f"Repositories is no list of 1 to {MOST} repositories"])
    seeds: dict[str, str] = {}
    for number, entry in enumerate(entries):
        where, facts = f"Repositories[{number}].", entry if isinstance(entry, Mapping) else {}
        name, seed = _match(facts, "Name", NAME, faults, where), _match(facts, "Seed", KEY, faults, where)
        if name in seeds:
            faults.append(f"{where}Name {name} is given twice")
        seeds[name] = seed
    if faults:
        raise BadProperties(faults)
    return Release(version, bucket, seeds)


def is_newer(version: str, than: str) -> bool:
    """Tell whether one version came out after the other; 1.0.0rc1 comes before 1.0.0."""
    return _order(version) > _order(than)


def _order(version: str) -> tuple[int, ...]:
    match = VERSION.fullmatch(version)
    assert match is not None  # read() checked it
    major, minor, patch, stage, number = match.groups()
    return int(major), int(minor), int(patch), STAGES.index(stage), int(number or 0)


def _match(facts: Mapping[str, Any], name: str, pattern: re.Pattern[str], faults: list[str], where: str = "") -> str:
    value = facts.get(name)
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    faults.append(f"{where}{name} is missing or no such thing")
    return ""
