"""A configuration against the project that it stands in: files that it names, and the project's problem and inference type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlops_cicd.config.fields import path_problem
from mlops_cicd.config.loading import read_text
from mlops_cicd.config.model import METRICS, Gates, ModelConfig, TorchrunDistribution
from mlops_cicd.config.problems import FILE, ConfigError, Lines, Place, Problem, line_of
from mlops_cicd.config.reading import read
from mlops_cicd.config.rules import Broken
from mlops_cicd.errors import nearest, shown
from mlops_cicd.project import INFERENCE_TYPES, PROBLEM_TYPES

_COMMIT = "Commit it, or correct the path."


def check_project(config: ModelConfig, folder: Path, problem_type: str, inference_type: str) -> None:
    """Hold a configuration against the project's folder, problem type and inference type. Raises ConfigError."""
    lines = _lines(folder)
    broken = [*_files(config, folder), *_gate(config, problem_type), *_kinds(problem_type, inference_type)]
    if broken:
        raise ConfigError(Problem(line_of(place, lines), place, what, mend) for place, what, mend in broken)


def _lines(folder: Path) -> Lines:
    """Return the lines of the folder's own file, which a message points to; none when the values come from elsewhere."""
    try:
        return read(read_text(folder / FILE)).lines
    except ConfigError:
        return {}


def _files(config: ModelConfig, folder: Path) -> Iterator[Broken]:
    for section in ("preprocess_config", "train_config", "inference_config"):
        for key in ("entrypoint", "dependencies"):
            name = getattr(getattr(config, section), key)
            if name is not None:
                yield from _file((section, key), name, folder)
    torchrun = isinstance(config.train_config.distribution, TorchrunDistribution)
    if torchrun and config.train_config.dependencies is None and not (folder / "train" / "Dockerfile").is_file():
        mend = "Add dependencies with a requirements file that names torch, or a train/Dockerfile."
        yield ("train_config", "distribution", "torchrun"), "AWS's image has no torch", mend


def _file(place: Place, name: str, folder: Path) -> Iterator[Broken]:
    found = path_problem(name)
    if found:
        yield place, *found
        return
    path, top = folder / name, folder.resolve()
    try:
        whole = path.resolve(strict=True)
    except FileNotFoundError:
        guess = _similar(path)
        mend = f"Did you mean {path.parent.relative_to(folder).as_posix()}/{guess}?" if guess else _COMMIT
        yield place, f"there is no file {shown(name)}", mend
        return
    except (OSError, RuntimeError):
        yield place, f"{shown(name)} can't be followed to a file", "Put the file itself there."
        return
    if not whole.is_relative_to(top):
        yield place, f"{shown(name)} is a link that leads out of the repository", "Put the file itself there."
    elif not whole.is_file():
        yield place, f"{shown(name)} is a folder", "Name a file."
    elif name.endswith(".py") and not whole.read_bytes().strip():
        yield place, f"{shown(name)} is empty", "Write the code, or name the file that has it."


def _similar(path: Path) -> str | None:
    try:
        return nearest(path.name, [each.name for each in path.parent.iterdir() if each.is_file()])
    except OSError:
        return None


def _gate(config: ModelConfig, problem_type: str) -> Iterator[Broken]:
    if problem_type not in METRICS:
        return
    gate, place = config.quality_gate, ("quality_gate",)
    if isinstance(gate, Gates):
        if getattr(gate, problem_type) is None:
            mend = f"Add quality_gate.{problem_type} with metric, comparison and threshold."
            yield place, f"there is no gate for the project's problem type {problem_type}", mend
        return
    known = METRICS[problem_type]
    if gate.metric not in known:
        what = f"{gate.metric} is no metric of the project's problem type {problem_type}"
        yield (*place, "metric"), what, f"Take one of {', '.join(known)}."


def _kinds(problem_type: str, inference_type: str) -> Iterator[Broken]:
    mend = "The project's stack sets it; have the data science admin correct it."
    if problem_type not in PROBLEM_TYPES:
        yield (), f"the project's problem type is {shown(problem_type)} and none of {', '.join(PROBLEM_TYPES)}", mend
    if inference_type not in INFERENCE_TYPES:
        yield (
            (),
            f"the project's inference type is {shown(inference_type)} and none of {', '.join(INFERENCE_TYPES)}",
            mend,
        )
