"""Split a table into the sets for training, validation and test, and refuse one that no model should be trained on.

A SageMaker processing job runs this as it is. On a laptop, give the folders:

    python preprocess/preprocess.py --input data --output build

It needs what AWS's scikit-learn image holds, and nothing else: pandas, numpy and scikit-learn."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

SAMPLE = "scikit-learn's breast cancer data"
# A job's own code is put there, beside the data.
CODE = "code"
CLASSIFICATION = ("binary_classification", "multiclass_classification")


class BadData(Exception):
    """The data can't be used; the message says why, and ends with what to do."""


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; the defaults are those of a processing job."""
    parser = argparse.ArgumentParser(description="Split a table into the sets for training, validation and test.")
    parser.add_argument("--input", type=Path, default=Path("/opt/ml/processing/input"), help="folder with .csv files")
    parser.add_argument("--output", type=Path, default=Path("/opt/ml/processing/output"), help="folder for the sets")
    parser.add_argument("--target", default="target", help="column to predict")
    parser.add_argument("--problem-type", default=CLASSIFICATION[0], choices=(*CLASSIFICATION, "regression"))
    parser.add_argument("--validation-share", type=float, default=0.15, help="share of the rows, between 0 and 1")
    parser.add_argument("--test-share", type=float, default=0.15, help="share of the rows, between 0 and 1")
    parser.add_argument("--seed", type=int, default=42, help="the same seed and data give the same sets")
    return parser.parse_args(words)


def read(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read every .csv file below a folder as one table, or the sample when there is no file at all; say which it was."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files = {name: path for name, path in files.items() if not ignored(name)}
    tables = {name: table(path) for name, path in files.items() if path.suffix.lower() == ".csv"}
    if tables:
        return together(tables), list(tables)
    if files:
        raise BadData(f"{folder} holds no .csv file, but {listed(files)}: convert the data to CSV with a header")
    print(f"There is no data in {folder}: taking {SAMPLE} in its place. Put .csv files there to use your own.")
    return load_breast_cancer(as_frame=True).frame, [SAMPLE]


def ignored(name: str) -> bool:
    """Tell whether a file is none of the data: the job's code, or hidden, as notebooks' checkpoints are."""
    return name.startswith(f"{CODE}/") or any(part.startswith(".") for part in name.split("/"))


def table(path: Path) -> pd.DataFrame:
    """Read one file."""
    try:
        read_as = pd.read_csv(path)
    except pd.errors.EmptyDataError:
        raise BadData(f"{path} is empty: remove it, or write the table into it") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise BadData(f"{path} can't be read as CSV ({str(error).strip()}): write it as UTF-8, with commas") from error
    if read_as.empty:
        raise BadData(f"{path} has a header and no rows: remove it, or write the rows into it")
    return read_as


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
        problems.append(f"there is no column '{target}', only {listed(data.columns)}: name the target with --target")
    elif len(data.columns) == 1:
        problems.append(f"there is no column but '{target}': add the features")
    unnamed = [name for name in data.columns if str(name).startswith("Unnamed:")]
    if unnamed:
        problems.append(
            f"{len(unnamed)} column(s) have no name, such as a row number: write the file without the index (to_csv(index=False))"
        )
    missing = data.isna().sum()
    if missing.any():
        counts = [f"{name} ({count})" for name, count in missing[missing > 0].items()]
        problems.append(f"values are missing in {listed(counts)}: fill them or drop the rows")
    features = data.drop(columns=[target], errors="ignore")
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
    if problem_type == "regression":
        numeric = pd.api.types.is_numeric_dtype(values)
        return [] if numeric else [f"'{values.name}' is not a number: give a number, or another --problem-type"]
    if problem_type == "binary_classification" and kinds != 2:
        return [f"'{values.name}' has {kinds} different values, not 2: mend the target, or give another --problem-type"]
    if kinds < 2:
        return [f"'{values.name}' has one value only: there is nothing to learn, look for the rows that are missing"]
    return []


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
    """Write SET/SET.csv for each set, target first, with a header and no index; and metadata/metadata.json."""
    columns = list(sets["train"].columns)
    features = [name for name in columns if name != asked.target]
    for name, rows in sets.items():
        folder = asked.output / name
        folder.mkdir(parents=True, exist_ok=True)
        rows[[asked.target, *features]].to_csv(folder / f"{name}.csv", index=False)
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
    folder = asked.output / "metadata"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps(found, indent=2) + "\n")


def listed(names: Iterable[object]) -> str:
    """Name a few of many."""
    found = [str(name) for name in names]
    return ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")


def main(words: Sequence[str] | None = None) -> None:
    """Read, check, split and write. Ends the process with a message when the data can't be used."""
    asked = arguments(words)
    try:
        data, sources = read(asked.input)
        check(data, asked.target, asked.problem_type)
        sets = split(data, asked)
        write(sets, asked, sources)
    except BadData as error:
        sys.exit(f"preprocess: {error}")
    rows = ", ".join(f"{name} {len(one)}" for name, one in sets.items())
    print(
        f"{len(data)} rows and {len(data.columns)} columns from {listed(sources)}: {rows}. They are in {asked.output}."
    )


if __name__ == "__main__":
    main()
