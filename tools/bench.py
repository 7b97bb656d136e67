"""Measure what is promised about speed and size. Never part of a test: the figures depend on the machine and its load."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.environments import ROOT, ensure, folder, python_of
from tools.errors import MlopsError

RENDER = "from generators.kit.registry import rendered; rendered()"


class BenchFailed(MlopsError):
    """A measured command failed."""

    def __init__(self, command: list[str], said: str) -> None:
        super().__init__(
            f"{' '.join(command)} failed, so there is nothing to measure:\n{said}Mend that, then run `./inv bench`."
        )


@dataclass(frozen=True)
class Figure:
    """One line of the table: `value` and `target` in the same unit; the target is what it stays below, or 0 for exactly none."""

    what: str
    value: float
    target: float
    unit: str

    @property
    def met(self) -> bool:
        """Tell whether the promise is kept."""
        return self.value == 0 if self.target == 0 else self.value < self.target

    def __str__(self) -> str:
        digits = 2 if self.unit == "s" else 0
        target = f"< {self.target:g} {self.unit}" if self.target else f"0 {self.unit}"
        return f"{self.what:52} {self.value:9.{digits}f} {self.unit:8} {target:12} {'ok' if self.met else 'MISSED'}"


def run() -> None:
    """Print the table. Raises BenchFailed."""
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    missed = 0
    for measure in (_render, _start, _lint, _sizes, _publish, _imports, _local):
        for figure in measure():
            print(figure, flush=True)
            missed += not figure.met
    print(f"{missed} missed; repeat on a quiet machine before you believe it." if missed else "All promises kept.")


def _render() -> Iterator[Figure]:
    command = [str(python_of("main")), "-c", RENDER]
    yield Figure("render every template, cold start, best of 5", _best(command, 5), 0.6, "s")


def _start() -> Iterator[Figure]:
    bare = _best([str(python_of("main")), "-c", "pass"], 5)
    yield Figure(
        "a second start of ./inv, beyond bare Python, best of 5", _best(["./inv", "--version"], 5) - bare, 0.3, "s"
    )


def _lint() -> Iterator[Figure]:
    command = [str(ensure("lint")), "-m", "tools.lint"]
    # Findings are no failure here: the time is the same.
    yield Figure("lint in every launch region, best of 3", _best(command, 3, may_fail=True), 6, "s")


def _sizes() -> Iterator[Figure]:
    yield Figure(
        "size of templates/1-infra.yaml", (ROOT / "templates" / "1-infra.yaml").stat().st_size / 1000, 200, "kB"
    )
    files = (Path(place, name) for place, _, names in os.walk(folder("main")) for name in names)
    yield Figure("size of the main environment", sum(file.lstat().st_size for file in files) / 1_000_000, 200, "MB")


def _publish() -> Iterator[Figure]:
    command = [sys.executable, "-m", "tools.cli", "publish"]
    _timed(command)
    seconds, said = _timed(command)
    sent = re.search(r"(\d+) objects sent", said)
    if sent is None:
        raise BenchFailed(command, f"It does not say how many objects it sent:\n{said}")
    yield Figure(f"objects sent by a second publish ({seconds:.1f} s)", int(sent[1]), 0, "objects")


def _imports() -> Iterator[Figure]:
    """Time what a cold function and a job of the pipelines wait for before their first line."""
    python, shared = str(ensure("lambda")), ROOT / "lambdas" / "_shared"
    for handler in sorted((ROOT / "lambdas").glob("*/handler.py")):
        needed = dict.fromkeys(re.findall(r'os\.environ\["(\w+)"\]', handler.read_text(encoding="utf-8")), "x")
        place = {"PYTHONPATH": f"{handler.parent}:{shared}", "AWS_DEFAULT_REGION": "us-east-1", **needed}
        command = ["env", *(f"{name}={value}" for name, value in place.items()), python, "-c", "import handler"]
        yield Figure(f"cold import of the function {handler.parent.name}, best of 3", _best(command, 3), 1.5, "s")
    for job in sorted((ROOT / "mlops-cicd" / "jobs").glob("*/job.py")):
        job_place = ["env", f"PYTHONPATH={ROOT / 'mlops-cicd'}", str(ensure("cicd")), "-c"]
        command = [*job_place, f"import jobs.{job.parent.name}.job"]
        yield Figure(f"cold import of the job {job.parent.name}, best of 3", _best(command, 3), 1.5, "s")


def _local() -> Iterator[Figure]:
    command = ["./inv", "local", "--framework", "sklearn", "--problem", "binary_classification"]
    yield Figure("inv local on the seed, warm, best of 2", _best(command, 2), 30, "s")


def _best(command: list[str], times: int, may_fail: bool = False) -> float:
    return min(_timed(command, may_fail)[0] for _ in range(times))


def _timed(command: list[str], may_fail: bool = False) -> tuple[float, str]:
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode != 0 and not (may_fail and done.stdout):
        raise BenchFailed(command, done.stderr or done.stdout)
    return seconds, done.stdout
