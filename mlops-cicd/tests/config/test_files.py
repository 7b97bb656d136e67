"""A configuration against its project: files, problem type, inference type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlops_cicd.config import ConfigError, check_project, load, parse
from mlops_cicd.config.model import ModelConfig
from mlops_cicd.errors import CicdError

FILES = ("preprocess/preprocess.py", "train/train.py", "inference/inference.py")


@pytest.fixture
def folder(tmp_path: Path, seed: str) -> Path:
    """Give a project's folder with all that its configuration names."""
    top = tmp_path / "project"
    for name in FILES:
        (top / name).parent.mkdir(parents=True)
        (top / name).write_text("print('x')\n")
    (top / "model_config.yaml").write_text(seed)
    return top


def rows(
    config: ModelConfig, folder: Path, problem: str = "binary_classification", inference: str = "realtime"
) -> list[str]:
    """Return the rows of the refusal."""
    with pytest.raises(ConfigError) as caught:
        check_project(config, folder, problem, inference)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("inference", ["realtime", "batch"])
@pytest.mark.parametrize("problem", ["binary_classification", "regression"])
def test_a_whole_project_is_taken(folder: Path, problem: str, inference: str) -> None:
    check_project(load(folder / "model_config.yaml"), folder, problem, inference)


def test_a_missing_file_is_named_with_its_line_and_a_guess(folder: Path) -> None:
    (folder / "train" / "train.py").rename(folder / "train" / "trian.py")
    found = rows(load(folder / "model_config.yaml"), folder)
    line = (folder / "model_config.yaml").read_text().splitlines().index("  entrypoint: train/train.py") + 1
    assert found == [
        f"model_config.yaml:{line}: train_config.entrypoint: there is no file 'train/train.py'. Did you mean train/trian.py?"
    ]


def test_all_missing_files_are_named_at_once(folder: Path) -> None:
    for name in FILES:
        (folder / name).unlink()
    found = rows(load(folder / "model_config.yaml"), folder)
    assert ["_config.entrypoint" in row for row in found] == [True] * 3


def _outside(folder: Path) -> None:
    (folder.parent / "secret.py").write_text("x")
    (folder / "train" / "train.py").symlink_to("../../secret.py")


def _outside_folder(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder.parent / "elsewhere" / "train.py").write_text("x")
    (folder / "train").rmdir()
    (folder / "train").symlink_to("../elsewhere")


def _loop(folder: Path) -> None:
    (folder / "train" / "train.py").symlink_to("train.py")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (_outside, "leads out"),
        (_outside_folder, "leads out"),
        (_loop, "can't be followed"),
        (lambda folder: (folder / "train" / "train.py").symlink_to("nothing.py"), "no file"),
        (lambda folder: (folder / "train" / "train.py").mkdir(), "is a folder"),
        (lambda folder: (folder / "train" / "train.py").write_text("\n  \n"), "is empty"),
    ],
)
def test_what_is_no_file_of_the_project_is_refused(folder: Path, make: Callable[[Path], None], what: str) -> None:
    (folder / "train" / "train.py").unlink()
    make(folder)
    found = rows(load(folder / "model_config.yaml"), folder)
    assert len(found) == 1
    assert "train_config.entrypoint" in found[0]
    assert what in found[0]


def test_a_link_within_the_project_is_taken(folder: Path) -> None:
    (folder / "train" / "train.py").rename(folder / "train" / "real.py")
    (folder / "train" / "train.py").symlink_to("real.py")
    check_project(load(folder / "model_config.yaml"), folder, "regression", "batch")


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.txt", "a/../../b.txt", "~/x", "a\\b"])
def test_a_hostile_path_that_came_past_the_model_is_refused(folder: Path, seed: str, name: str) -> None:
    config = parse(seed)
    train = config.train_config.model_copy(update={"dependencies": name})
    found = rows(config.model_copy(update={"train_config": train}), folder)
    assert len(found) == 1
    assert "train_config.dependencies" in found[0]


def test_dependencies_must_be_there(folder: Path, seed: str) -> None:
    config = parse(seed.replace("train/train.py", "train/train.py\n  dependencies: train/requirements.txt"))
    assert "there is no file 'train/requirements.txt'" in rows(config, folder)[0]
    (folder / "train" / "requirements.txt").write_text("")
    check_project(config, folder, "regression", "batch")


def test_a_gate_of_the_project_s_problem_type_is_needed(folder: Path) -> None:
    found = rows(load(folder / "model_config.yaml"), folder, "multiclass_classification")
    assert len(found) == 1
    assert ": quality_gate: there is no gate for the project's problem type multiclass_classification." in found[0]
    assert "Add quality_gate.multiclass_classification" in found[0]


def test_a_single_gate_must_fit_the_problem_type(folder: Path, before: str) -> None:
    config = parse(before)
    assert config.gate_for("binary_classification").threshold == 0.95
    check_project(config, folder, "binary_classification", "realtime")
    found = rows(config, folder, "regression")
    assert "quality_gate.metric: auc is no metric of the project's problem type regression. Take one of mae" in found[0]


def test_torchrun_needs_torch(folder: Path, seed: str) -> None:
    text = seed.replace("train/train.py", "train/train.py\n  distribution: {torchrun: {processes_per_host: 1}}")
    (folder / "model_config.yaml").write_text(text)
    assert "no torch" in rows(parse(text), folder)[0]
    (folder / "train" / "Dockerfile").write_text("FROM x\n")
    check_project(parse(text), folder, "regression", "batch")


@pytest.mark.parametrize(("problem", "inference"), [("clustering", "realtime"), ("regression", "streaming")])
def test_kinds_that_are_not_known_are_the_stack_s_fault(folder: Path, problem: str, inference: str) -> None:
    found = rows(load(folder / "model_config.yaml"), folder, problem, inference)
    assert len(found) == 1
    assert "data science admin" in found[0]


def test_a_gate_that_is_not_there_is_an_error_with_its_mend(seed: str) -> None:
    with pytest.raises(CicdError, match=r"Add quality_gate\.multiclass_classification"):
        parse(seed).gate_for("multiclass_classification")
