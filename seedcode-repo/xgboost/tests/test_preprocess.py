"""Preprocessing: what it writes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import preprocess
import pytest

SCRIPT = Path(preprocess.__file__)
SETS = ("train", "validation", "test")


@pytest.fixture
def table() -> pd.DataFrame:
    """Give a hundred rows with two features, and a target that is true for one row in four."""
    numbers = np.random.default_rng(7).normal(size=(100, 2))
    return pd.DataFrame({"age": numbers[:, 0], "income": numbers[:, 1], "target": [0, 0, 0, 1] * 25})


class Job:
    """A processing job on this machine: its folders, and a way to run it."""

    def __init__(self, folder: Path) -> None:
        self.input, self.output = folder / "input", folder / "sets"
        self.input.mkdir()

    def give(self, table: pd.DataFrame, name: str = "data.csv") -> None:
        path = self.input / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)

    def run(self, *words: str) -> dict[str, pd.DataFrame]:
        preprocess.main(["--input", str(self.input), "--output", str(self.output), *words])
        return {name: pd.read_csv(self.output / name / f"{name}.csv") for name in SETS}

    def refused(self, *words: str) -> str:
        with pytest.raises(SystemExit) as caught:
            self.run(*words)
        assert not self.output.exists()
        return str(caught.value)

    @property
    def metadata(self) -> dict[str, object]:
        return json.loads((self.output / "metadata" / "metadata.json").read_text())


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.mark.parametrize(
    ("problem_type", "rows", "columns", "kinds"),
    [
        ("binary_classification", 569, 31, {0, 1}),
        ("multiclass_classification", 178, 14, {0, 1, 2}),
        ("regression", 442, 11, None),
    ],
)
def test_without_data_it_takes_the_sample_of_the_problem_and_says_so(
    job: Job, capsys: pytest.CaptureFixture[str], problem_type: str, rows: int, columns: int, kinds: set[int] | None
) -> None:
    sets = job.run("--problem-type", problem_type)
    assert "There is no data in" in capsys.readouterr().out
    assert job.metadata["sources"] == [preprocess.SAMPLES[problem_type][0]]
    assert sum(len(one) for one in sets.values()) == rows
    assert all(one.columns[0] == "target" and len(one.columns) == columns for one in sets.values())
    assert kinds is None or all(set(one["target"]) == kinds for one in sets.values())


def test_the_samples_target_is_named_when_another_is_asked_for(job: Job) -> None:
    assert "there is no column 'churned', only target, " in job.refused("--target", "churned")


def test_a_place_for_data_that_holds_none_is_refused(job: Job) -> None:
    # Otherwise a folder of the bucket that is empty would train a model on a sample, and nobody would see it.
    (job.input / "data").mkdir()
    assert "is empty: upload .csv files to the place that data_config.inputs.data names" in job.refused()


def test_a_batch_is_the_test_set_without_header_and_target(job: Job, table: pd.DataFrame) -> None:
    job.give(table)
    test = job.run()["test"]
    batch = pd.read_csv(job.output / "batch" / "batch.csv", header=None)
    assert (batch.to_numpy() == test.drop(columns="target").to_numpy()).all()


def test_true_and_false_become_numbers_and_a_target_stays_what_it_is(job: Job, table: pd.DataFrame) -> None:
    job.give(table.assign(member=table["age"] > 0, target=table["target"] == 1))
    test = job.run()["test"]
    assert set(test["member"]) == {0, 1} and test["member"].dtype == "int64"
    assert test["target"].dtype == "bool"
    assert "True" not in (job.output / "batch" / "batch.csv").read_text()


def test_every_row_is_in_exactly_one_set(job: Job, table: pd.DataFrame) -> None:
    job.give(table)
    sets = job.run()
    assert {name: len(rows) for name, rows in sets.items()} == {"train": 70, "validation": 15, "test": 15}
    again = pd.concat(sets.values()).sort_values(list(table.columns), ignore_index=True)[list(table.columns)]
    pd.testing.assert_frame_equal(again, table.sort_values(list(table.columns), ignore_index=True))


def test_each_set_has_the_classes_in_the_same_share(job: Job, table: pd.DataFrame) -> None:
    job.give(table)
    for rows in job.run().values():
        assert rows["target"].mean() == pytest.approx(0.25, abs=0.03)


def test_the_same_seed_gives_the_same_bytes(job: Job, table: pd.DataFrame) -> None:
    job.give(table)
    files = [job.output / name / f"{name}.csv" for name in SETS]
    job.run()
    first = [path.read_bytes() for path in files]
    job.run()
    assert [path.read_bytes() for path in files] == first
    job.run("--seed", "1")
    assert [path.read_bytes() for path in files] != first


def test_the_files_have_a_header_and_no_index(job: Job, table: pd.DataFrame) -> None:
    job.give(table)
    job.run()
    lines = (job.output / "train" / "train.csv").read_text().splitlines()
    assert lines[0] == "target,age,income"
    assert all(line.count(",") == 2 for line in lines)


def test_the_metadata_says_what_was_done(job: Job, table: pd.DataFrame) -> None:
    job.give(table.rename(columns={"target": "left"}))
    job.run("--target", "left")
    assert job.metadata == {
        "sources": ["data.csv"],
        "problem_type": "binary_classification",
        "target": "left",
        "features": ["age", "income"],
        "rows": {"train": 70, "validation": 15, "test": 15},
        "seed": 42,
        "classes": {
            "train": {"0": 53, "1": 17},
            "validation": {"0": 11, "1": 4},
            "test": {"0": 11, "1": 4},
        },
    }


def test_several_files_are_one_table_and_the_jobs_own_code_is_none(job: Job, table: pd.DataFrame) -> None:
    job.give(table[:60], "2026/a.csv")
    job.give(table[60:], "b.CSV")
    job.give(table, "code/fixture.csv")
    job.give(table, ".ipynb_checkpoints/a-checkpoint.csv")
    sets = job.run()
    assert sum(len(rows) for rows in sets.values()) == 100
    assert job.metadata["sources"] == ["2026/a.csv", "b.CSV"]


def test_code_alone_is_no_data(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    (job.input / "code").mkdir()
    (job.input / "code" / "preprocess.py").write_text("print()\n")
    job.run()
    assert "There is no data in" in capsys.readouterr().out


def test_other_problems(job: Job, table: pd.DataFrame) -> None:
    job.give(table.assign(target=["low", "middle", "high", "high"] * 25))
    assert set(job.run("--problem-type", "multiclass_classification")["test"]["target"]) == {"low", "middle", "high"}
    job.give(table.assign(target=table["age"] * 3))
    assert len(job.run("--problem-type", "regression")["test"]) == 15
    assert "classes" not in job.metadata


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty: remove it"),
        ("age,target\n", "has a header and no rows"),
        ('age,target\n"1,2\n', "can't be read as CSV"),
    ],
)
def test_a_file_without_a_table_is_refused(job: Job, text: str, said: str) -> None:
    (job.input / "data.csv").write_text(text)
    assert said in job.refused()


def test_blanks_around_a_name_are_no_part_of_it(job: Job, table: pd.DataFrame) -> None:
    header, _, rows = table.to_csv(index=False).partition("\n")
    (job.input / "data.csv").write_text(header.replace(",", ", ") + "\n" + rows)
    assert set(job.run()["train"].columns) == set(table.columns)


def test_semicolons_are_told(job: Job) -> None:
    (job.input / "data.csv").write_text("a;b;target\n1;2;0\n")
    assert "separates its columns by semicolons: write it with commas" in job.refused()


def test_a_file_of_another_kind_is_refused(job: Job) -> None:
    (job.input / "data.parquet").write_bytes(b"PAR1")
    assert "holds no .csv file, but data.parquet" in job.refused()


def test_files_with_other_columns_are_refused(job: Job, table: pd.DataFrame) -> None:
    job.give(table, "a.csv")
    job.give(table.rename(columns={"age": "years"}), "b.csv")
    assert "b.csv and a.csv differ in age, years" in job.refused()


def test_everything_that_is_wrong_is_said_at_once(job: Job, table: pd.DataFrame) -> None:
    wrong = table.assign(city="Turin", income=np.where(table.index == 3, np.inf, table["income"]))
    wrong.loc[[1, 2], "age"] = np.nan
    wrong.to_csv(job.input / "data.csv")  # with the index, as a column without a name
    said = job.refused("--target", "left")
    assert said.splitlines()[0] == "preprocess: The data can't be used:"
    assert "there is no column 'left', only Unnamed: 0, age, income, target, city: name the target" in said
    assert "1 column(s) have no name" in said
    assert "values are missing in age (2)" in said
    assert "city are not numbers" in said
    assert "income hold infinite values" in said


def test_columns_without_any_value_are_named(job: Job, table: pd.DataFrame) -> None:
    job.give(table.assign(empty="", lost=np.nan))
    said = job.refused()
    assert "empty, lost hold no value at all: drop the columns" in said
    assert "are missing" not in said and "are not numbers" not in said


def test_two_columns_of_one_name_are_refused(job: Job) -> None:
    (job.input / "data.csv").write_text("target,age,age\n1,2,3\n0,2,4\n")
    assert "more than one column called age" in job.refused()


def test_a_job_says_in_its_description_why_it_failed(
    job: Job, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    job.give(table.drop(columns="target"))
    job.refused()
    assert "there is no column 'target'" in (tmp_path / "output" / "message").read_text()


def test_in_a_job_it_finds_its_folders(table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    given = tmp_path / "processing" / "input" / "data"
    given.mkdir(parents=True)
    table.to_csv(given / "a.csv", index=False)
    preprocess.main([])
    assert len(pd.read_csv(tmp_path / "processing" / "output" / "train" / "train.csv")) == 70


def test_a_missing_target_value_is_refused(job: Job, table: pd.DataFrame) -> None:
    table["target"] = table["target"].astype(float)
    table.loc[5, "target"] = np.nan
    job.give(table)
    assert "values are missing in target (1)" in job.refused()


@pytest.mark.parametrize(
    ("target", "words", "said"),
    [
        ([1] * 100, [], "has one value only: there is nothing to learn"),
        ([5.0] * 100, ["--problem-type", "regression"], "has one value only: there is nothing to learn"),
        ([0, 1, 2, 3] * 25, [], "has 4 different values, not 2"),
        ([1] * 100, ["--problem-type", "multiclass_classification"], "there is nothing to learn"),
        (["a", "b"] * 50, ["--problem-type", "regression"], "is not a number"),
    ],
)
def test_a_target_that_does_not_fit_the_problem_is_refused(
    job: Job, table: pd.DataFrame, target: list[object], words: list[str], said: str
) -> None:
    job.give(table.assign(target=target))
    assert said in job.refused(*words)


def test_a_table_of_the_target_alone_is_refused(job: Job, table: pd.DataFrame) -> None:
    job.give(table[["target"]])
    assert "there is no column but 'target'" in job.refused()


def test_too_few_rows_and_shares_that_leave_nothing_are_refused(job: Job, table: pd.DataFrame) -> None:
    job.give(table)
    assert "together below 1" in job.refused("--test-share", "0.9", "--validation-share", "0.1")
    assert "must be above 0" in job.refused("--test-share", "0")
    job.give(table[:5])
    assert "5 rows are too few for this split" in job.refused()


def test_as_a_command_it_ends_with_a_message_and_no_traceback(job: Job, table: pd.DataFrame) -> None:
    command = [sys.executable, str(SCRIPT), "--input", str(job.input), "--output", str(job.output)]
    job.give(table.drop(columns="target"))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "name the target with --target" in done.stderr and "Traceback" not in done.stderr


def test_it_says_what_it_did(job: Job, table: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    job.give(table)
    job.run()
    assert "100 rows and 3 columns from data.csv: train 70, validation 15, test 15." in capsys.readouterr().out
