"""What a project begins with, by framework: its own tests pass in a copy of it, and its configuration names what is there.

Run in an environment with what the frameworks need. The folder is the list: a new framework is tested by no new file here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

SEEDS = Path(__file__).resolve().parents[2] / "seedcode-repo"
FRAMEWORKS = sorted(path.parent.name for path in SEEDS.glob("*/model_config.yaml"))
SECTIONS = {
    "preprocess_config",
    "train_config",
    "inference_config",
    "stages",
    "data_config",
    "quality_gate",
    "bias_config",
    "monitor_config",
}
# Where a section names a file of the repository.
FILES = ("entrypoint", "dependencies", "test_script")
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".ipynb_checkpoints")


@pytest.fixture(params=FRAMEWORKS)
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give a copy of a framework's folder, as a project's repository would hold it."""
    copy = tmp_path / "repository"
    shutil.copytree(SEEDS / str(request.param), copy, ignore=LEFT_OUT)
    return copy


@pytest.fixture
def configuration(repository: Path) -> dict[str, Any]:
    """Read the configuration file."""
    return dict(yaml.safe_load((repository / "model_config.yaml").read_text()))


def test_there_is_a_framework() -> None:
    assert "sklearn" in FRAMEWORKS


def test_its_own_tests_pass(repository: Path) -> None:
    # As on the first day: nothing of this project on the path, and a warning is no noise to get used to.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    command = [sys.executable, "-B", "-W", "error", "-m", "pytest", "-q"]
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and "skipped" not in done.stdout


def test_the_configuration_names_known_sections_and_files_that_exist(
    repository: Path, configuration: dict[str, Any]
) -> None:
    assert {"preprocess_config", "data_config"} <= configuration.keys() <= SECTIONS
    named = {
        f"{section}.{name}": value[name]
        for section, value in configuration.items()
        for name in FILES
        if isinstance(value, dict) and name in value
    }
    assert "preprocess_config.entrypoint" in named
    assert {name: path for name, path in named.items() if not (repository / path).is_file()} == {}


def test_its_preprocessing_runs_as_its_configuration_says(repository: Path, configuration: dict[str, Any]) -> None:
    entrypoint = configuration["preprocess_config"]["entrypoint"]
    target = configuration["data_config"]["target"]
    words = ["--input", str(repository / "data"), "--output", str(repository / "build"), "--target", target]
    done = subprocess.run(
        [sys.executable, "-B", entrypoint, *words], cwd=repository, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    for name in ("train", "validation", "test"):
        lines = (repository / "build" / name / f"{name}.csv").read_text().splitlines()
        assert lines[0].split(",")[0] == target and len(lines) > 1


def test_it_is_explained_and_holds_text_alone(repository: Path) -> None:
    assert (repository / "README.md").is_file() and (repository / "tests").is_dir()
    for path in (path for path in repository.rglob("*") if path.is_file()):
        assert path.read_text(encoding="utf-8").strip(), f"{path.name} is empty, which CodeCommit refuses"
