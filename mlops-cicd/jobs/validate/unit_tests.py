"""Run a project's own unit tests with what its images hold, in an environment that is kept for the next build."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_cicd import images, recipes
from mlops_cicd.builds import say
from mlops_cicd.config import ModelConfig
from mlops_cicd.errors import CicdError
from mlops_cicd.project import PURPOSES

TESTS = "tests"
OWN_REQUIREMENTS = f"{TESTS}/requirements.txt"
TEST_SECONDS, INSTALL_SECONDS = 900, 1200
_COMPLETE = "complete"
# Environments that stay, the last used first: the build's cache carries each of them to and fro.
_KEPT_ENVIRONMENTS = 2
# What code that learns and predicts imports. The rest of an image serves requests or drives devices: it takes long to install, some
# of it needs a compiler, and no unit test calls it. More is for tests/requirements.txt to name.
IMPORTED = frozenset({
    "joblib", "matplotlib", "numpy", "pandas", "pyarrow", "pyspark", "pyyaml", "scikit-learn", "scipy", "xgboost",
})  # fmt: skip
# https://docs.pytest.org/en/stable/reference/exit-codes.html
_NO_TESTS = 5
_KEPT = ("AWS_REGION", "AWS_DEFAULT_REGION")


class TestsFailed(CicdError):
    """The project's tests failed, hung, or could not begin."""

    __test__ = False


@dataclass(frozen=True)
class _Python:
    """An interpreter, and what tells it from others: its version and where it is installed. Its path does not: a build's own
    environment lies in another folder each time."""

    path: str
    version: str
    home: str


def check(config: ModelConfig, folder: Path, environment: Mapping[str, str]) -> None:
    """Run the tests in the folder `tests/`; without any, say so. Raises TestsFailed."""
    if not any((folder / TESTS).rglob("*.py")):
        say("Unit tests: none. Add a folder tests/ with test_*.py, and they run at every push.")
        return
    python = prepare(config, folder, environment)
    limit = int(environment.get("TEST_SECONDS", TEST_SECONDS))
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", TESTS]
    code = _run(command, folder, _without_rights(environment), limit)
    if code is None:
        raise TestsFailed(
            f"The unit tests did not end within {limit} seconds and were stopped. Find the test that hangs or learns on too much"
            f" data: python -m pytest --durations=5 {TESTS}"
        )
    if code == _NO_TESTS:
        say(f"Unit tests: there is no test in {TESTS}/. Files are named test_*.py and functions test_*.")
    elif code:
        raise TestsFailed(
            f"The unit tests failed; their report stands above. Run them on your machine: python -m pytest {TESTS}"
        )
    else:
        say("Unit tests: passed.")


def requirements(config: ModelConfig, folder: Path) -> list[str]:
    """Return what the tests' environment holds: what code imports of the images' packages, in their versions, except what
    `dependencies` replace."""
    pinned: dict[str, str] = {}
    for section in (config.preprocess_config, config.train_config):
        pinned |= images.packages(section.framework, section.framework_version)
    own = [line for name in _files(config) for line in _lines(folder / name)]
    own += _lines(folder / OWN_REQUIREMENTS)
    replaced = {_distribution(line) for line in own}
    wanted = {_distribution(name): version for name, version in pinned.items()}
    kept = [f"{name}=={wanted[name]}" for name in IMPORTED & wanted.keys() - replaced]
    return [*sorted(kept), *own, *([] if "pytest" in replaced else ["pytest>=8"])]


def prepare(config: ModelConfig, folder: Path, environment: Mapping[str, str]) -> Path:
    """Return the Python of an environment with those packages; it is made when there is none of that content."""
    wanted = requirements(config, folder)
    interpreter = _interpreter(config, environment)
    text = json.dumps([interpreter.version, interpreter.home, wanted])
    home = Path(environment.get("MLOPS_CACHE") or Path.home() / ".cache" / "mlops-cicd")
    place = home / "environments" / hashlib.sha256(text.encode()).hexdigest()[:16]
    python = place / "bin" / "python"
    # What a cache brings back is used only when it runs.
    if (place / _COMPLETE).is_file() and _asked(str(python)) is not None:
        say(f"Unit tests: with the environment {place.name}, kept from an earlier build.")
        (place / _COMPLETE).touch()
        return python
    # Half of an environment, from a build that was stopped, is none.
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    _forget(place.parent)
    say(f"Unit tests: installing {len(wanted)} packages as the images hold them.")
    _install([interpreter.path, "-m", "venv", str(place)], folder, environment)
    listed = place / "requirements.txt"
    listed.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    _install([str(python), "-m", "pip", "install", "--quiet", "-r", str(listed)], folder, environment)
    (place / _COMPLETE).write_text("yes\n", encoding="utf-8")
    return python


def _forget(environments: Path) -> None:
    """Remove all environments but the last used ones, so that there is room for one more."""

    def used(place: Path) -> float:
        mark = place / _COMPLETE
        return mark.stat().st_mtime if mark.is_file() else 0.0

    for place in sorted(environments.iterdir(), key=used, reverse=True)[_KEPT_ENVIRONMENTS - 1 :]:
        shutil.rmtree(place, ignore_errors=True)


def _interpreter(config: ModelConfig, environment: Mapping[str, str]) -> _Python:
    """Return a Python of the image's version, else the one that runs this."""
    version = images.python(config.train_config.framework, config.train_config.framework_version)
    own = _Python(sys.executable, ".".join(map(str, sys.version_info[:3])), sys.base_prefix)
    if own.version.startswith(f"{version}."):
        return own
    for path in _candidates(version, environment):
        found = _asked(path)
        if found is not None and found.version.startswith(f"{version}."):
            return found
    say(f"Unit tests: the image has Python {version}, which this build lacks; they run with {own.version}.")
    return own


def _candidates(version: str, environment: Mapping[str, str]) -> list[str]:
    # CodeBuild's image has its Pythons by pyenv, whose commands on the PATH only run the version that a build has chosen:
    # https://github.com/aws/aws-codebuild-docker-images/blob/master/al/x86_64/standard/5.0/Dockerfile
    home = environment.get("PYENV_ROOT") or Path(environment.get("HOME") or Path.home()) / ".pyenv"
    installed = sorted(Path(home, "versions").glob(f"{version}.*/bin/python{version}"))
    on_path = shutil.which(f"python{version}", path=environment.get("PATH"))
    return [*map(str, installed), *([on_path] if on_path else [])]


def _asked(path: str) -> _Python | None:
    """Ask an interpreter what it is; None when it does not run."""
    question = "import sys; print(*sys.version_info[:3], sep='.'); print(sys.base_prefix)"
    try:
        told = subprocess.run([path, "-I", "-c", question], capture_output=True, text=True, check=True, timeout=60)
        version, home = told.stdout.splitlines()
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return _Python(path, version, home)


def _files(config: ModelConfig) -> list[str]:
    named = [recipes.dependencies_of(config, purpose) for purpose in PURPOSES]
    return list(dict.fromkeys(name for name in named if name))


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    text = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8"))
    # Hashes would ask for hashes of all, and the images' packages come without.
    lines = (re.sub(r"\s*--hash=\S+", "", re.sub(r"(^|\s)#.*", "", line)).strip() for line in text.splitlines())
    return [line for line in lines if line]


def _distribution(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else requirement


def _install(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    code = _run(
        command, folder, {**environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}, INSTALL_SECONDS
    )
    if code is None:
        raise TestsFailed(
            f"The packages for the unit tests were not installed within {INSTALL_SECONDS} seconds. Retry the action."
        )
    if code:
        raise TestsFailed(
            "The packages for the unit tests can't be installed; pip says above which one. Most often a version in `dependencies`"
            f" or {OWN_REQUIREMENTS} contradicts what the image holds, or the package index has no such version. Change it there."
        )


def _without_rights(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for the project's code: without the build's credentials and settings.

    No lock: the code runs under the build's identity. It keeps tests from working only by accident of where they run."""
    hidden = ("AWS_", "CODEBUILD_", "ECS_", "PIP_", "PYTHON", "PROJECT_SETTINGS")
    kept = {name: value for name, value in environment.items() if name in _KEPT or not name.startswith(hidden)}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: int) -> int | None:
    """Run a command in a folder and return its exit code, and None when its time was up: then it ends with all it started."""
    with subprocess.Popen(command, cwd=folder, env=dict(environment), start_new_session=True) as process:
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
