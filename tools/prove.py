"""Run the proofs in the environment that has AWS's data. Exit code 0 proved, 1 disproved, 3 not run."""

from __future__ import annotations

import sys

from tools.environments import ROOT, EnvironmentFailed
from tools.errors import MlopsError
from tools.lint.command import run_module

PROVED, DISPROVED, USAGE, NOT_RUN = 0, 1, 2, 3


class NoProofs(MlopsError):
    """This copy of the project has no proofs."""

    def __init__(self) -> None:
        super().__init__("This copy of the project holds no proofs. Run them in the library's own repository.")


def run(only: str = "", *, as_json: bool = False) -> None:
    """Run one proof, or all. Ends the process with the code that says what came of it, unless all is proved."""
    if not (ROOT / "proofs").is_dir():
        raise NoProofs
    # The proofs are imported where they are used: the seed of mlops-cfn holds this module without them.
    from proofs.errors import NoSuchProof
    from proofs.listing import proofs
    from proofs.report import Outcome, Report

    names = list(proofs())
    if only and only not in names:
        _end(str(NoSuchProof(only, names)), USAGE)
    try:
        code = run_module("proofs", *(["--only", only] if only else []), *(["--json"] if as_json else []))
    except EnvironmentFailed as error:
        # Without the tool nothing is proved and nothing disproved: that has a code and a document of its own.
        report = Report(tuple((name, Outcome(reason=str(error))) for name in names if only in ("", name)))
        print(report.as_json() if as_json else report.as_text())
        code = report.code
    if code == DISPROVED:
        _end("Disproved: each finding above says what mends it.", code)
    if code == NOT_RUN:
        _end("Not run: the reasons stand above; what was not run is not proved.", code)
    if code != PROVED:
        _end(f"The proofs went wrong (above, exit code {code}). Mend proofs/, then run it again.", NOT_RUN)


def _end(sentence: str, code: int) -> None:
    print(f"inv: {sentence}", file=sys.stderr)
    sys.exit(code)
