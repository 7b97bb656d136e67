"""Preprocessing with Spark, through a Spark on this machine: the layout of preprocess.py, and what it refuses.

Run in the environment `spark`; it needs Java."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

# Spark's Python side leaves sockets to Java for the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
FOLDER = Path(__file__).resolve().parents[2] / "seedcode-repo" / "sklearn" / "preprocess"
SETS = ("train", "validation", "test")
# On the loopback, with workers of the same interpreter.
LOCAL = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
SUBMIT = "--master local[{}] --conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=4 pyspark-shell"


@pytest.fixture(scope="module", autouse=True)
def script() -> Iterator[ModuleType]:
    """Give the script as a module: one Java for all tests, and a session of Spark for each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        for name, value in (LOCAL | {"PYSPARK_SUBMIT_ARGS": SUBMIT.format(2)}).items():
            patch.setenv(name, value)
        yield importlib.import_module("preprocess_spark")


def words(folder: Path, *more: str) -> list[str]:
    """Name a folder's input and output."""
    return ["--input", str(folder / "input"), "--output", str(folder / "output"), *more]


def table(rows: int = 900) -> pd.DataFrame:
    """Make rows with names that Spark has to quote, text with commas, and true and false."""
    numbers = pd.Series(range(rows))
    return pd.DataFrame(
        {
            "od280/od315.of": (numbers * 7919 % 1000) / 8,
            "member": numbers % 2 == 0,
            "left": ["no, stays" if number % 3 else 'yes, "goes"' for number in numbers],
            "two words": numbers - 450,
        }
    )


def give(folder: Path, rows: pd.DataFrame, name: str = "data.csv") -> None:
    """Write a table into a folder's input."""
    path = folder / "input" / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.to_csv(path, index=False)


def sets(folder: Path) -> dict[str, pd.DataFrame]:
    """Read what was written."""
    return {name: pd.read_csv(folder / "output" / name / f"{name}.csv") for name in SETS}


@pytest.fixture(scope="module")
def done(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Split a table of two files."""
    folder = tmp_path_factory.mktemp("spark")
    give(folder, table()[:500], "a.csv")
    give(folder, table()[500:][["left", "two words", "member", "od280/od315.of"]], "more/b.csv")
    (folder / "input" / "code").mkdir()
    (folder / "input" / "code" / "fixture.csv").write_text("not,data\n")
    script.main(words(folder, "--target", "left"))
    return folder


def test_every_row_is_in_exactly_one_set_with_the_target_first(done: Path) -> None:
    found = sets(done)
    features = ["od280/od315.of", "member", "two words"]
    assert all(list(rows.columns) == ["left", *features] for rows in found.values())
    whole = pd.concat(found.values()).sort_values("two words", ignore_index=True)
    expected = table().assign(member=lambda rows: rows["member"].astype(int))[["left", *features]]
    pd.testing.assert_frame_equal(whole, expected, check_dtype=False)


def test_shares_are_met_roughly_and_classes_are_in_each(done: Path) -> None:
    found = sets(done)
    assert 0.10 < len(found["test"]) / 900 < 0.20 and 0.10 < len(found["validation"]) / 900 < 0.20
    assert all(0.23 < (rows["left"] == 'yes, "goes"').mean() < 0.44 for rows in found.values())


def test_the_batch_is_the_test_set_without_header_and_target(done: Path) -> None:
    batch = pd.read_csv(done / "output" / "batch" / "batch.csv", header=None)
    assert (batch.to_numpy() == sets(done)["test"].drop(columns="left").to_numpy()).all()


def test_the_metadata_says_what_was_done(done: Path) -> None:
    found = json.loads((done / "output" / "metadata" / "metadata.json").read_text())
    rows = sets(done)
    assert found == {
        "sources": ["data/a.csv", "data/more/b.csv"],
        "problem_type": "binary_classification",
        "target": "left",
        "features": ["od280/od315.of", "member", "two words"],
        "rows": {name: len(rows[name]) for name in SETS},
        "seed": 42,
        "classes": {
            name: {str(kind): int(n) for kind, n in rows[name]["left"].value_counts().items()} for name in SETS
        },
    }
    assert sorted(path.name for path in (done / "output").iterdir()) == ["batch", "metadata", *sorted(SETS)]


def test_as_a_command_the_same_rows_give_the_same_bytes_in_any_order_and_with_any_cores(
    done: Path, tmp_path: Path
) -> None:
    give(tmp_path, table().sample(frac=1, random_state=1))
    command = [sys.executable, str(FOLDER / "preprocess_spark.py"), *words(tmp_path, "--target", "left")]
    environment = os.environ | LOCAL | {"PYSPARK_SUBMIT_ARGS": SUBMIT.format(1)}
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr
    assert "900 rows: train " in ended.stdout
    for name in SETS:
        path = Path("output") / name / f"{name}.csv"
        assert (tmp_path / path).read_bytes() == (done / path).read_bytes()


def test_a_regression_keeps_its_numbers(script: ModuleType, tmp_path: Path) -> None:
    give(tmp_path, table().drop(columns="left"))
    script.main(words(tmp_path, "--target", "two words", "--problem-type", "regression"))
    assert sorted(pd.concat(sets(tmp_path).values())["two words"]) == list(range(-450, 450))
    assert "classes" not in json.loads((tmp_path / "output" / "metadata" / "metadata.json").read_text())


@pytest.mark.parametrize(
    ("change", "target", "said"),
    [
        (lambda rows: rows, "gone", ["There is no column 'gone', only od280/od315.of, member, left"]),
        (
            lambda rows: rows.assign(lost=None, city="Turin", member=rows["member"].where(rows.index > 3)),
            "left",
            ["lost hold no value at all", "city are not numbers", "values are missing in member (4)"],
        ),
        (
            lambda rows: rows.assign(left=1, member=float("inf")),
            "left",
            ["'left' has one value only", "member hold infinite values"],
        ),
        (lambda rows: rows, "two words", ["has more than 2 different values"]),
        (lambda rows: rows[:4], "left", ["would have no"]),
        (lambda rows: rows[:0], "left", ["a header and no rows"]),
        (lambda rows: rows.rename(columns={"two words": "LEFT"}), "left", ["more than one column called"]),
        (lambda rows: rows.assign(left="a\nb"), "left", ["Spark can't read the data: look for lines"]),
    ],
)
def test_what_no_model_should_be_trained_on_is_refused(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    target: str,
    said: list[str],
) -> None:
    give(tmp_path, change(table()))
    (tmp_path / "ml").mkdir()
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path / "ml"))
    with pytest.raises(SystemExit) as caught:
        script.main(words(tmp_path, "--target", target))
    message = (tmp_path / "ml" / "output" / "message").read_text()
    assert all(one in str(caught.value) for one in said) and said[0] in message
    assert not list((tmp_path / "output").rglob("*.csv"))


def test_without_data_it_says_what_to_set(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "input" / "code").mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"name a place with \.csv files as data_config\.inputs\.data"):
        script.main(words(tmp_path))
