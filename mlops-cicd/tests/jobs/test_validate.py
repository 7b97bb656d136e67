"""The job validate: configuration, Dockerfiles, and the project's unit tests in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from jobs.validate import unit_tests
from jobs.validate.job import main
from mlops_cicd import config as configs
from mlops_cicd import images
from tests.jobs.making import config_text, environment, write_project

Printed = Any
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    """Write a wheel: pip installs it without any index."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


# Stands for pytest: finds test functions, runs them, and has pytest's exit codes.
RUNNER = """
import importlib.util, pathlib, sys
found = failed = 0
for path in pathlib.Path(sys.argv[-1]).rglob("test_*.py"):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in dir(module):
        if name.startswith("test_"):
            found += 1
            try:
                getattr(module, name)()
            except AssertionError as error:
                failed += 1
                print(name, "failed:", error)
sys.exit(1 if failed else 0 if found else 5)
"""


class Place:
    """A project, and an index on this disk of what the image holds and what runs tests."""

    def __init__(self, folder: Path, index: Path, cache: Path) -> None:
        self.folder, self.index, self.cache = folder / "project", index, cache

    def run(self, changes: dict[str, Any] | None = None, files: dict[str, str] | None = None, **more: str) -> int:
        write_project(self.folder, changes, files)
        own = {"HOME": str(self.cache), "MLOPS_CACHE": str(self.cache)}
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index)}
        return main({**environment(self.folder), **own, **offline, **more})


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    wheel(folder, "held", "1.0", {"held.py": "VERSION = '1.0'\n"})
    wheel(folder, "held", "2.0", {"held.py": "VERSION = '2.0'\n"})
    wheel(folder, "pytest", "9.9", {"pytest.py": RUNNER})
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # An environment takes seconds to make: the tests keep them as builds do.
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def place(tmp_path: Path, index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(images, "packages", lambda framework, version: {"held": "1.0", "gunicorn": "23.0.0"})
    monkeypatch.setattr(unit_tests, "IMPORTED", frozenset({"held"}))
    monkeypatch.setattr(images, "python", lambda framework, version: HERE)
    return Place(tmp_path, index, cache)


PASSES = {"tests/test_held.py": "import held\n\ndef test_version():\n    assert held.VERSION == '1.0', held.VERSION\n"}


def test_a_project_without_tests_is_told_so_and_passes(place: Place, printed: Printed) -> None:
    assert place.run() == 0
    text = printed()
    assert "model_config.yaml: right, for binary_classification and realtime inference." in text
    assert "training: AWS's own image" in text
    assert "Unit tests: none. Add a folder tests/" in text
    assert "installing" not in text


def test_tests_run_with_what_the_image_holds_in_an_environment_that_is_kept(
    place: Place, printed: Printed, tmp_path: Path
) -> None:
    place.cache = tmp_path / "own"
    assert place.run(files=PASSES) == 0
    text = printed()
    assert "installing 2 packages" in text
    assert "Unit tests: passed." in text
    assert place.run(files=PASSES) == 0
    assert "kept from an earlier build" in printed()
    made = list((place.cache / "environments").iterdir())
    assert len(made) == 1
    # Half of an environment, from a build that was stopped, is none.
    (made[0] / "complete").unlink()
    (made[0] / "bin" / "python").unlink()
    assert place.run(files=PASSES) == 0
    assert "installing 2 packages" in printed()


def test_a_failing_test_fails_the_job_and_shows_its_report(place: Place, printed: Printed) -> None:
    assert place.run(files={"tests/test_x.py": "def test_sum():\n    assert 1 + 1 == 3, 'two is not three'\n"}) == 1
    text = printed()
    assert "test_sum failed: two is not three" in text
    assert "The unit tests failed; their report stands above." in text


def test_tests_that_hang_are_stopped_with_all_that_they_started(place: Place, printed: Printed) -> None:
    hanging = "import subprocess, pathlib\n\ndef test_x():\n    child = subprocess.Popen(['sleep', '60'])\n"
    hanging += "    pathlib.Path('child').write_text(str(child.pid))\n    child.wait()\n"
    started = time.monotonic()
    assert place.run(files={"tests/test_x.py": hanging}, TEST_SECONDS="3") == 1
    assert time.monotonic() - started < 40
    assert "did not end within 3 seconds" in printed()
    child = (place.folder / "child").read_text()
    for _ in range(50):
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", child], capture_output=True, text=True, check=False
        ).stdout.strip()
        if state in ("", "Z"):
            break
        time.sleep(0.1)
    assert state in ("", "Z")


def test_a_folder_without_a_test_is_told_so(place: Place, printed: Printed) -> None:
    assert place.run(files={"tests/helper.py": "x = 1\n"}) == 0
    assert "there is no test in tests/" in printed()


def test_dependencies_replace_what_the_image_holds(place: Place) -> None:
    changes = {"train_config.dependencies": "train/requirements.txt"}
    files = {
        "train/requirements.txt": "Held == 2.0  # newer\n",
        "tests/test_held.py": PASSES["tests/test_held.py"].replace("1.0", "2.0"),
    }
    assert place.run(changes, files) == 0


def test_packages_that_are_nowhere_are_the_projects_to_change(place: Place, printed: Printed) -> None:
    changes = {"train_config.dependencies": "train/requirements.txt"}
    assert place.run(changes, {**PASSES, "train/requirements.txt": "nowhere==1.0\n"}) == 1
    assert "The packages for the unit tests can't be installed" in printed()


def test_tests_see_no_credentials_and_no_settings(place: Place) -> None:
    look = """
import os

def test_environment():
    seen = [name for name in os.environ if name.startswith(("AWS_", "CODEBUILD_", "PIP_", "PROJECT_SETTINGS"))]
    assert sorted(seen) == ["AWS_EC2_METADATA_DISABLED", "AWS_REGION"], seen
"""
    rights: Any = {
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x",
        "AWS_SESSION_TOKEN": "s",
        "AWS_REGION": "eu-central-1",
    }
    assert place.run(files={"tests/test_x.py": look}, **rights) == 0


def test_another_python_than_the_images_is_told(
    place: Place, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "python", lambda framework, version: "3.99")
    assert place.run(files=PASSES) == 0
    assert "the image has Python 3.99, which this build lacks" in printed()


def fake_python(path: Path, version: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\nprintf '%s\\n' {version} /opt/{version}\n")
    path.chmod(0o755)


def test_a_command_of_pyenv_that_runs_nothing_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CodeBuild's image has a command for each Python; those that the build has not chosen only say so."""
    monkeypatch.setattr(images, "python", lambda framework, version: "3.99")
    shim = tmp_path / "shims" / "python3.99"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.99: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    around = {"HOME": str(tmp_path), "PATH": f"{shim.parent}:/bin"}
    config = configs.parse(config_text())
    assert unit_tests._interpreter(config, around).path == sys.executable
    installed = tmp_path / ".pyenv" / "versions" / "3.99.7" / "bin" / "python3.99"
    fake_python(installed, "3.99.7")
    fake_python(tmp_path / ".pyenv" / "versions" / "3.9.9" / "bin" / "python3.9", "3.9.9")
    found = unit_tests._interpreter(config, around)
    assert (found.path, found.version) == (str(installed), "3.99.7")


def test_an_environment_is_kept_for_a_build_in_another_folder(
    place: Place, printed: Printed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.cache = tmp_path / "own"
    for build in ("src1", "src2"):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / build)], check=True)
        monkeypatch.setattr(sys, "executable", str(tmp_path / build / "bin" / "python"))
        assert place.run(files=PASSES) == 0
    assert printed().count("installing 2 packages") == 1
    (kept,) = (place.cache / "environments").iterdir()
    # A cache may bring back what no longer runs.
    (kept / "bin" / "python").unlink()
    assert place.run(files=PASSES) == 0
    assert "installing 2 packages" in printed()


def test_environments_that_nobody_used_lately_go(place: Place, tmp_path: Path) -> None:
    place.cache = tmp_path / "own"
    old = place.cache / "environments"
    for number, name in enumerate(("first", "second", "third")):
        (old / name).mkdir(parents=True)
        (old / name / "complete").write_text("yes\n")
        os.utime(old / name / "complete", (number, number))
    (old / "half").mkdir()
    assert place.run(files=PASSES) == 0
    names = {each.name for each in old.iterdir()}
    assert "third" in names
    assert len(names) == 2


def test_what_is_installed_is_what_awss_images_hold() -> None:
    wanted = unit_tests.requirements(configs.parse(config_text()), Path("/nowhere"))
    held = images.packages("sklearn", "1.4-2-py312")
    assert f"scikit-learn=={held['scikit-learn']}" in wanted
    assert not any("gunicorn" in each or "sagemaker" in each for each in wanted), "no test serves requests"
    assert wanted[-1] == "pytest>=8"


def test_all_problems_of_the_configuration_come_together(place: Place, printed: Printed) -> None:
    changes = {"train_config.instance_type": "ml.big", "train_config.entrypoint": "train/nothing.py"}
    assert place.run({**changes, "data_config.datatype": "parquet"}) == 1
    text = printed()
    assert text.count("model_config.yaml:") >= 2
    assert "train_config.instance_type" in text


@pytest.mark.parametrize("problem", ["multiclass_classification", "regression"])
def test_a_gate_of_another_problem_is_found(place: Place, printed: Printed, problem: str) -> None:
    gate = {"metric": "auc", "comparison": "GreaterThan", "threshold": 0.5}
    write_project(place.folder, {"quality_gate": gate})
    assert main(environment(place.folder, {"problem_type": problem})) == 1
    assert "quality_gate" in printed()


def test_dockerfiles_are_linted(place: Place, printed: Printed) -> None:
    assert place.run(files={"inference/Dockerfile": "FROM python:3.12\n"}) == 1
    assert "inference/Dockerfile:1: the image python:3.12" in printed()


def test_another_framework_than_the_projects_is_told(place: Place, printed: Printed) -> None:
    write_project(place.folder)
    assert main(environment(place.folder, {"framework": "xgboost"})) == 0
    assert "train_config.framework: sklearn, although the project began with xgboost" in printed()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"PROJECT_SETTINGS": ""}, "The build has no PROJECT_SETTINGS"),
        ({"COMMIT": "", "EXECUTION_ID": ""}, "The build has no COMMIT, EXECUTION_ID"),
        ({"PROJECT_SETTINGS": "{}"}, "project_name is missing"),
        ({"PROJECT_SETTINGS": "no json"}, "are no JSON"),
        ({"CODEBUILD_SRC_DIR_PipeSource": "/nowhere/at/all"}, "which is no folder"),
    ],
)
def test_a_build_without_its_settings_is_the_platforms_fault(
    place: Place, printed: Printed, change: dict[str, str], said: str
) -> None:
    write_project(place.folder)
    assert main({**environment(place.folder), **change}) == 2
    text = printed()
    assert said in text
    assert text.startswith("The platform is wrong: ")
