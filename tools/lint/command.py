"""Run what needs registry schemas in the environment `lint`, from the main one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tools.environments import ROOT, ensure
from tools.errors import MlopsError

FINDINGS = 1


class LintFailed(MlopsError):
    """There is something to mend in the templates."""

    def __init__(self) -> None:
        super().__init__(
            "Templates have findings (above, each with what mends it). Change the generator, run `./inv build`, then "
            "`./inv lint` again; what is right as it is, is accepted on its resource with `accept={rule: reason}`."
        )


class LintBroken(MlopsError):
    """The lint itself went wrong."""

    def __init__(self, code: int) -> None:
        super().__init__(f"The lint itself went wrong (above, exit code {code}). Mend tools/lint, then run it again.")


def lint(templates: Sequence[str] = (), *, as_json: bool = False) -> None:
    """Lint the templates, all that are committed without any. Raises LintFailed."""
    code = run_module("tools.lint", *(["--json"] if as_json else []), *templates)
    if code == FINDINGS:
        raise LintFailed
    if code != 0:
        raise LintBroken(code)


def run_module(name: str, *arguments: str) -> int:
    """Run a module of ours with the interpreter of the environment `lint`, and give its exit code."""
    return subprocess.run([str(ensure("lint")), "-m", name, *arguments], cwd=ROOT).returncode
