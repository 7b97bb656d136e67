"""Training: what it writes and prints, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import inference
import numpy as np
import pandas as pd
import pytest
import train
import yaml

ROOT = Path(train.__file__).resolve().parent.parent
SCRIPT = ROOT / "train" / "train.py"
TRAINING = yaml.safe_load((ROOT / "model_config.yaml").read_text())["train_config"]
OPTIONS = [word for name, value in TRAINING["hyperparameters"].items() for word in (f"--{name}", str(value))]
# A few trees are enough to see how the code behaves.
QUICK = [f"--{name}=15" for name in ("n_estimators", "num_round") if name in TRAINING["hyperparameters"]]
METRICS = {
    "binary_classification": {"auc", "accuracy", "precision", "recall", "f1"},
    "multiclass_classification": {"accuracy", "weighted_precision", "weighted_recall", "weighted_f1"},
    "regression": {"mae", "mse", "rmse", "r2"},
}


def rows(problem_type: str, number: int, seed: int) -> pd.DataFrame:
    """Make rows whose target follows from the first of two features."""
    noise = np.random.default_rng(seed)
    first, second = noise.normal(size=number), noise.normal(size=number)
    target: Any = first * 10
    if problem_type != "regression":
        names = ["no", "yes"] if problem_type == "binary_classification" else ["high", "low", "middle"]
        target = [names[place % len(names)] for place in range(number)]
        first = np.array([names.index(name) * 4 for name in target]) + noise.normal(size=number)
    return pd.DataFrame({"left": target, "first": first, "second": second})


class Job:
    """A training job on this machine: its folders, and a way to run it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model = folder, folder / "model"

    def give(self, name: str, table: pd.DataFrame) -> None:
        (self.folder / name).mkdir(exist_ok=True)
        table.to_csv(self.folder / name / f"{name}.csv", index=False)

    def words(self, problem_type: str) -> list[str]:
        places = [f"--{name}={self.folder / name}" for name in ("train", "validation")]
        return [*QUICK, *places, f"--model-dir={self.model}", "--target=left", f"--problem-type={problem_type}"]

    def run(self, problem_type: str = "binary_classification", *more: str) -> None:
        train.main([*self.words(problem_type), *more])

    def refused(self, problem_type: str = "binary_classification", *more: str) -> str:
        with pytest.raises(SystemExit) as caught:
            self.run(problem_type, *more)
        assert not self.model.exists()
        return str(caught.value)

    @property
    def card(self) -> dict[str, Any]:
        return dict(json.loads((self.model / "model_card.json").read_text()))


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the environment of whoever runs the tests out of them."""
    for name in ("MLFLOW_TRACKING_URI", "SM_HOSTS", "SM_CURRENT_HOST", "SAGEMAKER_BASE_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path)
    made.give("train", rows("binary_classification", 120, 1))
    made.give("validation", rows("binary_classification", 60, 2))
    return made


@pytest.mark.parametrize("problem_type", METRICS)
def test_each_problem_is_learned_and_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], problem_type: str
) -> None:
    job = Job(tmp_path)
    job.give("train", rows(problem_type, 150, 1))
    job.give("validation", rows(problem_type, 60, 2))
    job.run(problem_type, *OPTIONS)
    printed = capsys.readouterr().out
    found = dict(re.findall(r"^validation:(\w+)=(\S+)$", printed, re.MULTILINE))
    assert found.keys() == METRICS[problem_type]
    best = {"binary_classification": "auc", "multiclass_classification": "weighted_f1", "regression": "r2"}[
        problem_type
    ]
    assert float(found[best]) > 0.9
    # What SageMaker picks from the log is what was printed, and is a metric of this problem.
    picked = {one["Name"]: re.findall(one["Regex"], printed) for one in TRAINING["metric_definitions"]}
    picked = {name: values for name, values in picked.items() if values}
    assert picked == {f"validation:{name}": [found[name]] for name in found if f"validation:{name}" in picked}
    assert len(picked) >= 2


def test_the_card_says_what_serving_needs(job: Job) -> None:
    job.run()
    card = job.card
    assert {name: card[name] for name in ("problem_type", "target", "features", "classes")} == {
        "problem_type": "binary_classification",
        "target": "left",
        "features": ["first", "second"],
        "classes": ["no", "yes"],
    }
    assert all(re.fullmatch(r"\d+\.\d+.*", version) for version in card["trained_with"].values())


def test_a_regression_has_no_classes(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.give("train", rows("regression", 80, 1))
    job.give("validation", rows("regression", 40, 2))
    job.run("regression")
    assert job.card["classes"] is None


def test_the_same_seed_gives_the_same_bytes(job: Job) -> None:
    def made(*more: str) -> dict[str, bytes]:
        job.run("binary_classification", *more)
        return {path.name: path.read_bytes() for path in job.model.iterdir()}

    first = made()
    assert made() == first
    assert made("--seed", "7") != first


def test_the_order_of_columns_in_validation_does_not_matter(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.run()
    first = capsys.readouterr().out
    job.give("validation", rows("binary_classification", 60, 2)[["second", "left", "first"]])
    job.run()
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("train", lambda table: table.drop(columns="left"), "train.csv has no column 'left'"),
        ("train", lambda table: table.assign(left="no"), "has 1 class(es), which is no binary_classification"),
        ("train", lambda table: table.assign(left=[str(place % 3) for place in range(len(table))]), "has 3 class(es)"),
        ("train", lambda table: table.assign(first=np.nan), "train.csv holds missing or infinite values"),
        ("train", lambda table: table.assign(first=np.inf), "train.csv holds missing or infinite values"),
        ("train", lambda table: table.assign(first="x"), "train.csv holds what is no number"),
        ("train", lambda table: table[:0], "has no rows"),
        ("validation", lambda table: table.drop(columns="first"), "validation.csv and train.csv differ in first"),
        ("validation", lambda table: table.replace({"left": {"no": "never"}}), "has classes that train.csv has not"),
    ],
)
def test_sets_that_can_not_be_trained_on_are_refused(job: Job, name: str, change: Any, said: str) -> None:
    job.give(name, change(rows("binary_classification", 60, 3)))
    assert said in job.refused()


def test_missing_files_and_broken_ones_are_refused(job: Job) -> None:
    path = job.folder / "train" / "train.csv"
    path.write_text('left,first\n"no')
    assert "can't be read as CSV" in job.refused()
    path.unlink()
    assert "run preprocess/preprocess.py first" in job.refused()


def test_words_are_no_regression(job: Job) -> None:
    assert "'left' is not a number" in job.refused("regression")


@pytest.mark.parametrize(
    "words", [["--max_dept", "3"], ["--max_depth", "many"], ["--max_depth", "-1"], ["--seed", "1.5"]]
)
def test_hyperparameters_that_are_wrong_are_refused(
    job: Job, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert job.refused("binary_classification", *words) == "2"
    assert words[0] in capsys.readouterr().err


def test_each_hyperparameter_of_the_configuration_is_an_option() -> None:
    asked = vars(train.arguments(OPTIONS))
    assert {name: asked[name] for name in TRAINING["hyperparameters"]} == TRAINING["hyperparameters"]


def test_in_a_job_it_finds_its_folders(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "ml"
    for name in ("train", "validation"):
        (base / "input" / "data").mkdir(parents=True, exist_ok=True)
        (job.folder / name).rename(base / "input" / "data" / name)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(base))
    train.main([*QUICK, "--target", "left"])
    assert (base / "model" / "model_card.json").is_file()
    monkeypatch.setenv("SM_CHANNEL_TRAIN", str(base / "input" / "data" / "train"))
    monkeypatch.setenv("SM_CHANNEL_VALIDATION", str(base / "input" / "data" / "nowhere"))
    with pytest.raises(SystemExit, match="nowhere"):
        train.main([*QUICK, "--target", "left"])
    assert "nowhere" in (base / "output" / "failure").read_text()


def test_as_a_command_it_ends_with_a_message_and_no_traceback(job: Job) -> None:
    (job.folder / "train" / "train.csv").unlink()
    command = [sys.executable, str(SCRIPT), *job.words("binary_classification")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "train: There is no" in done.stderr and "Traceback" not in done.stderr


FAKE = """
import contextlib, json, os
def say(*what):
    with open(os.environ["MLFLOW_TRACKING_URI"], "a") as log:
        log.write(json.dumps(what) + "\\n")
@contextlib.contextmanager
def start_run(run_name=None):
    say("run", run_name)
    yield
def log_params(values): say("params", values)
def log_metrics(values): say("metrics", values)
def log_dict(values, name): say("dict", name, values)
"""


@pytest.fixture
def no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no MLflow here, whatever is installed."""
    monkeypatch.setitem(sys.modules, "mlflow", None)


@pytest.mark.usefixtures("no_mlflow")
def test_without_an_address_nothing_is_logged_and_nothing_said(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.run()
    assert "logged" not in capsys.readouterr().out


@pytest.mark.usefixtures("no_mlflow")
def test_without_the_package_it_says_what_to_declare_and_goes_on(
    job: Job, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "arn:aws:sagemaker:eu-west-1:111122223333:mlflow-app/app-1")
    job.run()
    said = [line for line in capsys.readouterr().out.splitlines() if "not logged" in line]
    assert len(said) == 1 and "train_config.dependencies" in said[0]
    assert job.card["target"] == "left"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a package in MLflow's place that writes down what it is told."""
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "mlflow.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(tmp_path / "fake"))
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "log"))
    monkeypatch.setenv("TRAINING_JOB_NAME", "churn--train-1")
    return tmp_path / "log"


def test_with_mlflow_the_run_is_logged(job: Job, fake: Path) -> None:
    job.run("binary_classification", "--seed", "7")
    log = {one[0]: one[1:] for one in map(json.loads, fake.read_text().splitlines())}
    assert log["run"] == ["churn--train-1"]
    assert log["params"][0].keys() >= TRAINING["hyperparameters"].keys() and log["params"][0]["seed"] == 7
    assert 0.9 < log["metrics"][0]["validation_auc"] <= 1
    assert log["dict"] == ["model_card.json", job.card]


def test_a_server_that_fails_costs_no_model(job: Job, fake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake.mkdir()  # so that writing the log fails
    job.run()
    assert "The run is not logged: MLflow said" in capsys.readouterr().out
    assert inference.model_fn(str(job.model)).features == ("first", "second")
