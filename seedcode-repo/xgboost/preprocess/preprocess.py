"""Split a table into the sets for training, validation and test, and refuse one that no model should be trained on.

A SageMaker processing job runs this as it is. On a laptop, give the folders:

    python preprocess/preprocess.py --input data --output build

It needs what AWS's scikit-learn image holds, and nothing else: pandas, numpy and scikit-learn. The rows of the test set are
written a second time as batch/batch.csv, without header and target: that is what a batch transform is given, and what an
evaluation compares with test/test.csv, row by row."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.model_selection import train_test_split

CLASSIFICATION = ("binary_classification", "multiclass_classification")
# What is taken without data, by problem type: real measurements, which scikit-learn carries with it.
SAMPLES = {
    "binary_classification": ("scikit-learn's breast cancer data", load_breast_cancer),
    "multiclass_classification": ("scikit-learn's wine data", load_wine),
    "regression": ("scikit-learn's diabetes data", load_diabetes),
}
# Of a job, below the input: its own code, and the data that its configuration names.
CODE, DATA = "code", "data"


class BadData(Exception):
    """The data can't be used; the message says why, and ends with what to do."""


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; the defaults are those of a processing job."""
    place = base() / "processing"
    parser = argparse.ArgumentParser(
        description="Split a table into the sets for training, validation and test.", allow_abbrev=False
    )
    parser.add_argument("--input", type=Path, default=place / "input", help="folder with .csv files")
    parser.add_argument("--output", type=Path, default=place / "output", help="folder for the sets")
    parser.add_argument("--target", default="target", help="column to predict")
    parser.add_argument("--problem-type", default=CLASSIFICATION[0], choices=tuple(SAMPLES))
    parser.add_argument("--validation-share", type=float, default=0.15, help="share of the rows, between 0 and 1")
    parser.add_argument("--test-share", type=float, default=0.15, help="share of the rows, between 0 and 1")
    parser.add_argument("--seed", type=int, default=42, help="the same seed and data give the same sets")
    return parser.parse_args(words)


def base() -> Path:
    """Give the folder in which SageMaker puts what a job reads and takes what it writes."""
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def read(folder: Path, problem_type: str) -> tuple[pd.DataFrame, list[str]]:
    """Read every .csv file below a folder as one table, or the sample when there is no file at all; say which it was."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files = {name: path for name, path in files.items() if not ignored(name)}
    tables = {name: table(path) for name, path in files.items() if path.suffix.lower() == ".csv"}
    if tables:
        return together(tables), list(tables)
    if files:
        raise BadData(f"{folder} holds no .csv file, but {listed(files)}: convert the data to CSV with a header")
    if (folder / DATA).is_dir():
        raise BadData(
            f"{folder / DATA} is empty: upload .csv files to the place that data_config.inputs.data names, or set it to `sample`"
        )
    data, name = sample(problem_type)
    print(f"There is no data in {folder}: taking {name} in its place. Put .csv files there to use your own.")
    return data, [name]


def sample(problem_type: str) -> tuple[pd.DataFrame, str]:
    """Give the sample of a problem type, its column `target` first, and its name."""
    name, load = SAMPLES[problem_type]
    data = load(as_frame=True).frame
    return data[["target", *(column for column in data.columns if column != "target")]], name


def ignored(name: str) -> bool:
    """Tell whether a file is none of the data: the job's code, or hidden, as notebooks' checkpoints are."""
    return name.startswith(f"{CODE}/") or any(part.startswith(".") for part in name.split("/"))


def table(path: Path) -> pd.DataFrame:
    """Read one file."""
    try:
        # Whole columns at once: in pieces, the type of a column could depend on the size of the file.
        read_as = pd.read_csv(path, low_memory=False)
        twice = doubles(path)
    except pd.errors.EmptyDataError:
        raise BadData(f"{path} is empty: remove it, or write the table into it") from None
    except (pd.errors.ParserError, csv.Error, UnicodeDecodeError) as error:
        raise BadData(f"{path} can't be read as CSV ({str(error).strip()}): write it as UTF-8, with commas") from error
    if read_as.empty:
        raise BadData(f"{path} has a header and no rows: remove it, or write the rows into it")
    if twice:
        raise BadData(f"{path} has more than one column called {listed(twice)}: give each column a name of its own")
    if len(read_as.columns) == 1 and ";" in str(read_as.columns[0]):
        raise BadData(f"{path} separates its columns by semicolons: write it with commas")
    # A blank after a comma is no part of a name: a column `, weight` would be called differently by what reads it next.
    read_as.columns = [str(name).strip() for name in read_as.columns]
    return read_as


def doubles(path: Path) -> list[str]:
    """List the names that a header has more than once, which pandas would change without a word."""
    with path.open(newline="", encoding="utf-8-sig") as lines:
        header = next(csv.reader(lines), [])
    names = [name.strip() for name in header]
    return sorted({name for name in names if name and names.count(name) > 1})


def together(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Put tables under one another; all must have the same columns."""
    first, columns = next((name, set(one.columns)) for name, one in tables.items())
    for name, one in tables.items():
        differ = sorted(map(str, columns ^ set(one.columns)))
        if differ:
            raise BadData(f"{name} and {first} differ in {listed(differ)}: give all files the same columns")
    return pd.concat(tables.values(), ignore_index=True)


def check(data: pd.DataFrame, target: str, problem_type: str) -> None:
    """Refuse a table that no model should be trained on, with all that is wrong with it."""
    problems = []
    if target not in data.columns:
        mend = "name the target with --target, a pipeline's in data_config.target"
        problems.append(f"there is no column '{target}', only {listed(data.columns)}: {mend}")
    elif len(data.columns) == 1:
        problems.append(f"there is no column but '{target}': add the features")
    unnamed = [name for name in data.columns if str(name).startswith("Unnamed:")]
    if unnamed:
        problems.append(
            f"{len(unnamed)} column(s) have no name, such as a row number: write the file without the index (to_csv(index=False))"
        )
    missing = data.isna().sum()
    empty = [name for name, count in missing.items() if count == len(data)]
    if empty:
        problems.append(
            f"{listed(empty)} hold no value at all: drop the columns, or look for where their values were lost"
        )
    counts = [f"{name} ({count})" for name, count in missing.items() if 0 < count < len(data)]
    if counts:
        problems.append(f"values are missing in {listed(counts)}: fill them or drop the rows")
    features = data.drop(columns=[target, *empty], errors="ignore")
    words = [name for name in features.columns if not pd.api.types.is_numeric_dtype(features[name])]
    if words:
        problems.append(f"{listed(words)} are not numbers: encode them here, before the split is written")
    numbers = data.select_dtypes("number")
    endless = [name for name in numbers.columns if np.isinf(numbers[name]).any()]
    if endless:
        problems.append(f"{listed(endless)} hold infinite values: bound them or drop the rows")
    if target in data.columns and not missing[target]:
        problems += check_target(data[target], problem_type)
    if problems:
        raise BadData("The data can't be used:\n" + "\n".join(f"  - {problem}" for problem in problems))


def check_target(values: pd.Series, problem_type: str) -> list[str]:
    """Say what keeps the target from being one of this kind of problem."""
    kinds = values.nunique()
    if kinds < 2:
        return [f"'{values.name}' has one value only: there is nothing to learn, look for the rows that are missing"]
    if problem_type == "regression" and not pd.api.types.is_numeric_dtype(values):
        return [f"'{values.name}' is not a number: give a number, or another --problem-type"]
    if problem_type == "binary_classification" and kinds != 2:
        return [f"'{values.name}' has {kinds} different values, not 2: mend the target, or give another --problem-type"]
    return []


def prepared(data: pd.DataFrame, target: str) -> pd.DataFrame:
    """Put the target first, and write true and false as 1 and 0: a model is asked with numbers. Your own features go here."""
    features = data.drop(columns=[target])
    truths = features.select_dtypes("bool").columns
    return pd.concat([data[target], features.astype(dict.fromkeys(truths, "int64"))], axis=1)


def split(data: pd.DataFrame, asked: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """Split the rows; with classes, each set has each class in the share that the whole has."""
    shares = asked.validation_share, asked.test_share
    if min(shares) <= 0 or sum(shares) >= 1:
        raise BadData("The shares of validation and test must be above 0, and together below 1: change --test-share")
    classes = asked.problem_type in CLASSIFICATION

    def parts(rows: pd.DataFrame, share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        by = rows[asked.target] if classes else None
        # In rows: as a share, rounding would be left to scikit-learn, and to its version.
        number = round(share * len(data))
        kept, taken = train_test_split(rows, test_size=number, random_state=asked.seed, stratify=by)
        return kept, taken

    try:
        rest, test = parts(data, asked.test_share)
        train, validation = parts(rest, asked.validation_share)
    except ValueError as error:
        raise BadData(
            f"{len(data)} rows are too few for this split ({error}): add rows, or change the shares"
        ) from error
    return {"train": train, "validation": validation, "test": test}


def write(sets: dict[str, pd.DataFrame], asked: argparse.Namespace, sources: list[str]) -> None:
    """Write SET/SET.csv for each set, target first, with a header and no index; batch/batch.csv; metadata/metadata.json."""
    features = [str(name) for name in sets["train"].columns if name != asked.target]
    for name, rows in sets.items():
        rows.to_csv(below(asked.output, name, "csv"), index=False)
    sets["test"][features].to_csv(below(asked.output, "batch", "csv"), index=False, header=False)
    found = {
        "sources": sources,
        "problem_type": asked.problem_type,
        "target": asked.target,
        "features": features,
        "rows": {name: len(rows) for name, rows in sets.items()},
        "seed": asked.seed,
    }
    if asked.problem_type in CLASSIFICATION:
        found["classes"] = {
            name: {str(kind): int(count) for kind, count in rows[asked.target].value_counts().sort_index().items()}
            for name, rows in sets.items()
        }
    below(asked.output, "metadata", "json").write_text(json.dumps(found, indent=2) + "\n")


def below(folder: Path, name: str, kind: str) -> Path:
    """Give the path NAME/NAME.KIND below a folder, with its folder made."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    return folder / name / f"{name}.{kind}"


def tell(message: str) -> None:
    """Have the job's description say why it failed, besides its log. On a laptop there is no such place."""
    if base().is_dir():
        # The first kilobyte of it is the job's ExitMessage.
        (base() / "output").mkdir(exist_ok=True)
        (base() / "output" / "message").write_text(message[:1000], encoding="utf-8")


def listed(names: Iterable[object]) -> str:
    """Name a few of many."""
    found = [str(name) for name in names]
    return ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")


def main(words: Sequence[str] | None = None) -> None:
    """Read, check, split and write. Ends the process with a message when the data can't be used."""
    asked = arguments(words)
    try:
        data, sources = read(asked.input, asked.problem_type)
        check(data, asked.target, asked.problem_type)
        sets = split(prepared(data, asked.target), asked)
        write(sets, asked, sources)
    except BadData as error:
        tell(str(error))
        sys.exit(f"preprocess: {error}")
    rows = ", ".join(f"{name} {len(one)}" for name, one in sets.items())
    print(
        f"{len(data)} rows and {len(data.columns)} columns from {listed(sources)}: {rows}. They are in {asked.output}."
    )


if __name__ == "__main__":
    main()
