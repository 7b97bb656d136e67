"""The test suites by environment, in the order a person wants to hear bad news: cheap ones first."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable

from tools.environments import ROOT, ensure, lambda_python
from tools.errors import MlopsError

Step = tuple[str, Callable[[], list[list[str]]]]


class SuiteFailed(MlopsError):
    """Steps of the suite failed."""

    def __init__(self, failed: list[str]) -> None:
        super().__init__(f"Failed: {', '.join(failed)}. What each said stands above.")


class NoTests(MlopsError):
    """This copy of the project has no tests."""

    def __init__(self) -> None:
        super().__init__("This copy of the project holds no tests. Run them in the library's own repository.")


def check() -> None:
    """Run the quick part."""
    if not (ROOT / "tests").is_dir():
        raise NoTests
    _run(QUICK)


def test() -> None:
    """Run everything."""
    if not (ROOT / "tests").is_dir():
        raise NoTests
    _run([*QUICK, *REST])


def _run(steps: list[Step]) -> None:
    failed = []
    for name, commands in steps:
        print(f"\n== {name}", flush=True)
        began = time.monotonic()
        codes = [subprocess.run(command, cwd=ROOT).returncode for command in commands()]
        print(f"-- {name}: {'failed' if any(codes) else 'ok'} in {time.monotonic() - began:.1f} s", flush=True)
        if any(codes):
            failed.append(name)
    if failed:
        raise SuiteFailed(failed)


def _pytest(environment: str, *folders: str) -> list[list[str]]:
    return [[str(ensure(environment)), "-m", "pytest", *folders]]


def _functions() -> list[list[str]]:
    if lambda_python() is None:
        print("No interpreter of the Lambda runtime's version on this machine: testing under this one.", flush=True)
    return _pytest("lambda", "tests/lambdas")


def _spark() -> list[list[str]]:
    if shutil.which("java") is None:
        print("No Java on this machine: preprocessing with Spark is not tested. Install a JRE for it.", flush=True)
        return []
    return _pytest("spark", "tests/spark")


def _inv(*words: str) -> list[list[str]]:
    return [[sys.executable, "-m", "tools.cli", *words]]


def _mypy() -> list[list[str]]:
    mypy = [str(ensure("lint")), "-m", "mypy"]
    # Each function has a module `handler` of its own, beside the shared ones: one run each.
    functions = [
        ["env", "MYPYPATH=lambdas/_shared", *mypy, *(str(path) for path in sorted(folder.glob("*.py")))]
        for folder in sorted((ROOT / "lambdas").iterdir())
        if (folder / "handler.py").is_file()
    ]
    # What runs in builds and jobs has packages and scripts of its own, beside one another.
    places = [f"mlops-cicd/{name}" for name in ("mlops_cicd", "jobs", "run.py", "local.py")]
    jobs = [["env", "MYPYPATH=mlops-cicd", *mypy, "--explicit-package-bases", *places]]
    steps = [["env", "MYPYPATH=mlops-cicd/steps", *mypy, "--ignore-missing-imports", "mlops-cicd/steps"]]
    return [[*mypy, "generators", "tools", "rehearsal", "proofs", "tasks.py"], *functions, *jobs, *steps]


QUICK: list[Step] = [
    (
        "style",
        lambda: [
            [sys.executable, "-m", "ruff", "check", "."],
            [sys.executable, "-m", "ruff", "format", "--check", "."],
        ],
    ),
    ("stale files", lambda: _inv("build", "--check")),
    ("unit and contract tests", lambda: _pytest("main", "tests/unit", "tests/contract")),
    ("types", _mypy),
]
REST: list[Step] = [
    ("functions", _functions),
    ("workspace", lambda: _pytest("main", "tests/workspace")),
    ("seed code and steps", lambda: _pytest("seeds", "tests/seeds", "tests/steps")),
    ("preprocessing with Spark", _spark),
    ("CI/CD jobs", lambda: [[str(ensure("cicd")), "-m", "pytest", "-c", "mlops-cicd/pytest.ini", "mlops-cicd/tests"]]),
    ("pipelines on this machine", lambda: _pytest("main", "tests/local")),
    ("publish", lambda: _pytest("main", "tests/publish")),
    ("lint in every launch region", lambda: _inv("lint")),
    ("rules, facts, promises", lambda: _pytest("lint", "tests/lint")),
    ("proofs", lambda: [*_pytest("lint", "tests/proofs"), *_inv("prove")]),
    ("taskcat lint", lambda: _inv("taskcat")),
    ("emulator", lambda: _pytest("rehearsal", "tests/rehearsal")),
    ("publish to the embedded S3", lambda: _inv("publish")),
    ("the stack in the emulator", lambda: _inv("engine")),
]
