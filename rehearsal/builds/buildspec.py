"""Read a buildspec, version 0.2; what the rehearsal does not play is refused, not passed over.

Source: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from rehearsal.errors import RehearsalError

PHASES = ("install", "pre_build", "build", "post_build")
_ENV = ("shell", "variables", "parameter-store", "exported-variables", "git-credential-helper")
_PHASE = ("commands", "finally", "on-failure", "runtime-versions")
_ARTIFACTS = ("files", "name", "discard-paths", "base-directory", "exclude-paths", "secondary-artifacts")


class BadBuildspec(RehearsalError):
    """A buildspec that CodeBuild refuses, or that has what the rehearsal does not play."""


@dataclass(frozen=True)
class Phase:
    """One phase's commands."""

    commands: tuple[str, ...] = ()
    finally_: tuple[str, ...] = ()
    on_failure: str = ""
    runtimes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Artifact:
    """Which files make an output artifact."""

    files: tuple[str, ...]
    base: str = "."
    flat: bool = False


@dataclass(frozen=True)
class Buildspec:
    """What a build does."""

    phases: Mapping[str, Phase]
    variables: Mapping[str, str]
    parameters: Mapping[str, str]
    exported: tuple[str, ...]
    artifacts: Artifact | None
    secondary: Mapping[str, Artifact]
    cached: tuple[str, ...] = ()


def read(text: str) -> Buildspec:
    """Read a buildspec. Raises BadBuildspec with everything that is wrong."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadBuildspec(f"YAML_FILE_ERROR: {error}. Mend the buildspec.") from None
    if not isinstance(document, Mapping) or str(document.get("version")) != "0.2":
        raise BadBuildspec("YAML_FILE_ERROR: the rehearsal plays buildspecs of version 0.2. Write `version: 0.2`.")
    phases, env, made = (document.get(name) or {} for name in ("phases", "env", "artifacts"))
    problems = [
        *_unknown("", document, ("version", "env", "phases", "artifacts", "cache")),
        *_unknown("env: ", env, _ENV),
    ]
    problems += [*_unknown("phases: ", phases, PHASES), *_unknown("artifacts: ", made, _ARTIFACTS)]
    for name, phase in phases.items():
        problems += _unknown(f"phases: {name}: ", phase or {}, _PHASE)
        if (phase or {}).get("on-failure", "ABORT") not in ("ABORT", "CONTINUE"):
            problems.append(f"phases: {name}: on-failure is ABORT or CONTINUE here")
    if env.get("shell", "bash") != "bash":
        problems.append("env: shell is bash here")
    if not phases:
        problems.append("it has no phases")
    reserved = [name for name in env.get("variables") or {} if name.startswith("CODEBUILD_")]
    problems += [f"env: {name} starts with CODEBUILD_, which is CodeBuild's own" for name in reserved]
    if problems:
        raise BadBuildspec(f"YAML_FILE_ERROR: {'; '.join(problems)}. Mend the buildspec.")
    return Buildspec(
        {name: _phase(phases.get(name) or {}) for name in PHASES},
        {name: str(value) for name, value in (env.get("variables") or {}).items()},
        {name: str(value) for name, value in (env.get("parameter-store") or {}).items()},
        tuple(env.get("exported-variables") or ()),
        _artifact(made) if "files" in made else None,
        {name: _artifact(one) for name, one in (made.get("secondary-artifacts") or {}).items()},
        tuple((document.get("cache") or {}).get("paths") or ()),
    )


def _unknown(where: str, given: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    return [f"{where}{name} is not played: remove it, or play it" for name in given if name not in known]


def _phase(given: Mapping[str, Any]) -> Phase:
    runtimes = {str(name): str(value) for name, value in (given.get("runtime-versions") or {}).items()}
    commands, last = (tuple(map(str, given.get(name) or ())) for name in ("commands", "finally"))
    return Phase(commands, last, given.get("on-failure", ""), runtimes)


def _artifact(given: Mapping[str, Any]) -> Artifact:
    is_flat = str(given.get("discard-paths", "no")).lower() in ("yes", "true")
    return Artifact(tuple(given["files"]), str(given.get("base-directory", ".")), is_flat)
