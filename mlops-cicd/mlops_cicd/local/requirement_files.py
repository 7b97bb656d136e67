"""Reads pip requirement files: which distributions they name, and whether an interpreter has them already."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import PlaceError

_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([^;#@]*?)\s*(?:(@|;).*)?")
_WHEEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._]*)-[^-]+(-[^-]+)?-[^-]+-[^-]+-[^-]+\.whl")
_CLAUSE = re.compile(r"(==|!=|>=|<=|<|>)\s*([0-9]+(?:\.[0-9]+)*)")


@dataclass(frozen=True)
class Requirement:
    """One line: the normalised name, its version clauses, and whether `simple` code can judge them (else pip does)."""

    name: str
    clauses: tuple[tuple[str, str], ...]
    simple: bool


def normal(name: str) -> str:
    """Write a distribution's name as PEP 503 does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lines(path: Path, seen: frozenset[Path] = frozenset()) -> Iterator[str]:
    """Yield the lines of a requirement file and of those it includes, without comments and empty ones."""
    if path in seen:
        raise PlaceError(f"{path} includes itself. Take one of the -r lines away.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlaceError(
            f"The dependencies file {path} cannot be read: {error}. Mend its name in model_config.yaml."
        ) from error
    for line in re.sub(r"\\\n", " ", text).splitlines():
        plain = re.sub(r"(^|\s)#.*", "", line).strip()
        include = re.fullmatch(r"(?:-r|--requirement)[\s=]+(\S+)", plain)
        if include:
            yield from lines(path.parent / include[1], seen | {path})
        elif plain:
            yield plain


def read(path: Path) -> tuple[Requirement, ...]:
    """Read the requirements that a file names; options such as --index-url are left to pip."""
    return tuple(_parsed(line, path) for line in lines(path) if not line.startswith("-"))


def _parsed(line: str, path: Path) -> Requirement:
    plain = re.split(r"\s--", line, maxsplit=1)[0].strip()  # --hash and other options of one requirement
    wheel = _WHEEL.fullmatch(plain.rpartition("/")[2])
    if wheel:
        return Requirement(normal(wheel[1]), (), simple=False)
    match = _LINE.fullmatch(plain)
    if not match or "/" in plain.split("@")[0]:
        raise PlaceError(f"{path}: the line {line!r} names no distribution. Write it as NAME==VERSION.")
    name, specifier, more = match.groups()
    clauses = tuple(_CLAUSE.findall(specifier))
    rest = _CLAUSE.sub("", specifier).replace(",", "").strip()
    return Requirement(normal(name), clauses, simple=not rest and not more and "[" not in plain)


def satisfied(requirement: Requirement, versions: Mapping[str, str]) -> bool:
    """Say whether installed versions meet a requirement for sure; what cannot be judged here is not satisfied."""
    version = versions.get(requirement.name)
    if version is None or not requirement.simple:
        return False
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", version):
        return not requirement.clauses
    return all(_meets(_numbers(version), operator, _numbers(wanted)) for operator, wanted in requirement.clauses)


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in version.split(".")]
    while numbers and numbers[-1] == 0:  # 1.0 is 1
        numbers.pop()
    return tuple(numbers)


def _meets(version: tuple[int, ...], operator: str, wanted: tuple[int, ...]) -> bool:
    return {
        "==": version == wanted,
        "!=": version != wanted,
        ">=": version >= wanted,
        "<=": version <= wanted,
        "<": version < wanted,
        ">": version > wanted,
    }[operator]
