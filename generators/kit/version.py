"""The version, and what else pyproject.toml says of a release. Imports nothing heavy: every start of `inv` asks for it."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from generators.kit.errors import BadVersion

ROOT = Path(__file__).resolve().parents[2]


@cache
def _project() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


@cache
def version() -> str:
    """Give the version; it lives in pyproject.toml alone."""
    project = _project()["project"]
    assert isinstance(project, dict)
    found = str(project["version"])
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", found):
        raise BadVersion(found)
    return found


def is_stable(wanted: str | None = None) -> bool:
    """Tell whether a version is stable, so that `latest/` may point to it."""
    return re.fullmatch(r"\d+\.\d+\.\d+", wanted or version()) is not None


def configured_prefix() -> str:
    """Give the configured prefix of the published buckets, empty while nobody owns one."""
    tool = _project()["tool"]
    assert isinstance(tool, dict)
    return str(tool["mlops"]["assets-bucket-prefix"])
