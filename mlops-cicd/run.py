"""Run a job of the build pipeline by its name: `python run.py validate`. The exit code is the job's.

0 = done, 1 = what the project gave is wrong or failed, 2 = the platform is wrong."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

JOBS = Path(__file__).resolve().parent / "jobs"
PLATFORM_IS_WRONG = 2


def names() -> list[str]:
    """Return the jobs that there are: the folders that hold a job.py."""
    return sorted(path.parent.name for path in JOBS.glob("*/job.py"))


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the job that the arguments name."""
    if len(arguments) != 1 or arguments[0] not in names():
        given = " ".join(arguments) or "none"
        print(
            f"There is no job {given!r}. Set JOB of the CodeBuild action to one of: {', '.join(names())}.", flush=True
        )
        return PLATFORM_IS_WRONG
    return int(importlib.import_module(f"jobs.{arguments[0]}.job").main(environment))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
