"""Run what needs registry schemas in the environment `lint`, from the main one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tools.environments import ROOT, ensure
from tools.errors import MlopsError


class LintFailed(MlopsError):
    """There is something to mend in the templates."""

    def __init__(self) -> None:
        super().__init__(
            "Templates have findings (above, each with what mends it). Change the generator, run `./inv build`, then "
            "`./inv lint` again; what is right as it is, is accepted on its resource with `accept={rule: reason}`."
        )


def lint(templates: Sequence[str] = (), *, as_json: bool = False) -> None:
    """Lint the templates, all that are committed without any. Raises LintFailed."""
    if run_module("tools.lint", *(["--json"] if as_json else []), *templates) != 0:
        raise LintFailed


def run_module(name: str, *arguments: str) -> int:
    """Run a module of ours with the interpreter of the environment `lint`, and give its exit code."""
    return subprocess.run([str(ensure("lint")), "-m", name, *arguments], cwd=ROOT).returncode
