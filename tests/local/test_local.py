"""`inv local`: each seed, problem and inference type from preprocessing to the registered model, and what goes wrong on the way."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generators.kit.publishing import ROOT, frameworks
from tools.environments import ensure
from tools.local import NOT_CODE
from tools.model_config import package

PROBLEMS = ("binary_classification", "multiclass_classification", "regression")
LAPTOP = package("laptop")
PYTHON = ensure("seeds")


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[[str], Path]:
    """Copy the seed code of a framework, as a project that began with it."""

    def copy(framework: str) -> Path:
        return Path(shutil.copytree(ROOT / "seedcode-repo" / framework, tmp_path / "churn", ignore=NOT_CODE))

    return copy


def run(folder: Path, *words: str) -> int:
    return int(LAPTOP.main([f"--project={folder}", f"--python={PYTHON}", *words]))


def registered(folder: Path) -> list[dict[str, Any]]:
    """Read what the registry has, newest last."""
    found = [json.loads(path.read_text()) for path in (folder / "build/local/registry").rglob("*.json")]
    packages = [item for item in found if "InferenceSpecification" in item]
    return sorted(packages, key=lambda item: int(item["ModelPackageVersion"]))


def edit(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("inference", ["realtime", "batch"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("framework", frameworks())
def test_a_seed_becomes_a_registered_model(
    checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str], framework: str, problem: str, inference: str
) -> None:
    folder = checkout(framework)
    assert run(folder, f"--problem={problem}", f"--inference={inference}") == 0, capsys.readouterr()
    (version,) = registered(folder)
    assert version["ModelApprovalStatus"] == "PendingManualApproval"
    told = capsys.readouterr().out
    steps = [
        "Preprocess",
        "Train",
        *(["Model", "Transform"] if inference == "batch" else []),
        "Evaluate",
        "Baseline",
        "Register",
    ]
    lines = [line.split()[:2] for line in told.splitlines()]
    assert [line[0] for line in lines if line[1:] == ["Succeeded"] and line[0] in steps] == steps
    store = folder / "build/local/s3"
    for place in (
        version["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"],
        version["ModelMetrics"]["ModelDataQuality"]["Statistics"]["S3Uri"],
        version["ModelMetrics"]["ModelDataQuality"]["Constraints"]["S3Uri"],
        version["ModelMetrics"]["Bias"]["Report"]["S3Uri"],
        version["ModelMetrics"]["Explainability"]["Report"]["S3Uri"],
        version["InferenceSpecification"]["Containers"][0]["ModelDataUrl"],
    ):
        assert (store / place.removeprefix("s3://")).stat().st_size > 0, place


def test_what_runs_twice_is_registered_twice_and_apart(checkout: Callable[[str], Path]) -> None:
    folder = checkout("sklearn")
    assert [run(folder), run(folder)] == [0, 0]
    first, second = registered(folder)
    places = [version["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] for version in (first, second)]
    assert places[0] != places[1], "a run never reads what another one wrote"


def test_own_data_are_read(checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = checkout("sklearn")
    edit(folder, "model_config.yaml", "data: sample", "data: data/")
    rows = ["size,weight,target"] + [f"{number / 7:.3f},{number % 13},{int(number > 200)}" for number in range(400)]
    (folder / "data").mkdir()
    (folder / "data" / "rows.csv").write_text("\n".join(rows) + "\n")
    assert run(folder) == 0, capsys.readouterr()
    (metadata,) = (folder / "build/local/s3").rglob("metadata.json")
    assert json.loads(metadata.read_text())["sources"] == ["data/rows.csv"]


BAD = {
    "a metric under the gate": (
        lambda folder: edit(folder, "model_config.yaml", "threshold: 0.9", "threshold: 0.999999 #"), "QualityGate|gate",
    ),
    "a target that is not there": (
        lambda folder: edit(folder, "model_config.yaml", "target: target", "target: churned"), "churned",
    ),
    "a training script that fails": (
        lambda folder: edit(folder, "train/train.py", "def main(", "raise SystemExit('no luck')\n\n\ndef main("), "no luck",
    ),
    "a training script that writes nothing": (
        lambda folder: (folder / "train" / "train.py").write_text("print('done')\n"), "model",
    ),
    "an import that no image holds": (
        lambda folder: edit(folder, "train/train.py", "import argparse", "import argparse\nimport pytest"), "pytest",
    ),
    "a serving program that answers nonsense": (
        lambda folder: (folder / "inference" / "inference.py").write_text(NONSENSE), "Evaluate",
    ),
}  # fmt: skip
NONSENSE = '''"""Nothing that a model says."""


def model_fn(model_dir):
    return None


def input_fn(body, content_type):
    return body


def predict_fn(data, model):
    return "perhaps"


def output_fn(prediction, accept):
    return prediction
'''


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_ends_the_run_and_says_what_to_do(
    checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str], case: str
) -> None:
    folder = checkout("sklearn")
    spoil, word = BAD[case]
    spoil(folder)
    assert run(folder) == 1
    told = capsys.readouterr()
    assert any(part in told.err + told.out for part in word.split("|")), told
    assert "Traceback" not in told.err.split("Failed:")[0]
    assert registered(folder) == [], "nothing that failed is registered"


def test_a_wrong_configuration_is_told_before_anything_runs(
    checkout: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkout("sklearn")
    edit(folder, "model_config.yaml", "train_config:", "train_confg:")
    assert run(folder) == 1
    assert "train_config" in capsys.readouterr().err
    assert not (folder / "build" / "local" / "runs").exists()


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 1
    assert "--project" in capsys.readouterr().err


def test_a_definition_written_by_hand_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    definition = ROOT / "tests" / "local" / "by_hand.json"
    bucket = tmp_path / "build/local/s3/my-bucket"
    (bucket / "code").mkdir(parents=True)
    for name in ("split.py", "fit.py", "score.py"):
        shutil.copyfile(ROOT / "tests" / "local" / "by_hand" / name, bucket / "code" / name)
    (bucket / "data").mkdir()
    (bucket / "data" / "rows.csv").write_text("x,y\n" + "".join(f"{n},{2 * n + 1}\n" for n in range(100)))
    assert run(tmp_path, f"--definition={definition}", "--parameter=MaxError=0.5") == 0, capsys.readouterr()
    assert len(registered(tmp_path)) == 1
    assert run(tmp_path, f"--definition={definition}", "--parameter=MaxError=-1") == 1
    assert "too large" in capsys.readouterr().err
    assert len(registered(tmp_path)) == 1, "the branch that fails registers nothing"


@pytest.mark.parametrize("framework", frameworks())
def test_the_commands_of_a_seeds_readme_that_need_the_library(checkout: Callable[[str], Path], framework: str) -> None:
    folder = checkout(framework)
    text = (folder / "README.md").read_text()
    blocks = re.findall(r"<!-- run elsewhere: inv local -->\n\s*```\n(.*?)```", text, re.DOTALL)
    commands = [line.strip() for block in blocks for line in block.splitlines() if line.strip().startswith("./inv")]
    assert commands
    for command in commands:
        words = command.replace("~/PROJECT", str(folder)).split()
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert len(registered(folder)) == len(commands)
