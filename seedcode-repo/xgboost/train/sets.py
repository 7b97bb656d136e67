"""Read the sets that preprocessing wrote, and turn them into what a model learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

BINARY, MULTICLASS, REGRESSION = "binary_classification", "multiclass_classification", "regression"


class BadData(Exception):
    """What was given can't be trained on; the message says why, and ends with what to do."""


@dataclass(frozen=True)
class Set:
    """Rows of features, as float64 of shape (rows, features), and what is to be predicted for each: the class's place in the
    list of classes, or the number."""

    features: np.ndarray
    answers: np.ndarray


@dataclass(frozen=True)
class Data:
    """The sets `train` and `validation` by name, the columns that they share, the classes in their order (none: a regression)."""

    sets: dict[str, Set]
    features: list[str]
    classes: list[Any] | None


def load(folders: dict[str, Path], problem_type: str, target: str) -> Data:
    """Read the sets from their folders; BadData says what is wrong with one."""
    tables = {name: table(folder, name) for name, folder in folders.items()}
    classes = classes_of(tables["train"], problem_type, target)
    features = [str(name) for name in tables["train"].columns if name != target]
    sets = {name: prepared(rows, name, features, classes, target) for name, rows in tables.items()}
    return Data(sets, features, classes)


def table(folder: Path, name: str) -> pd.DataFrame:
    """Read the set of a name."""
    path = folder / f"{name}.csv"
    if not path.is_file():
        raise BadData(f"There is no {path}: run preprocess/preprocess.py first, or name the folder with --{name}")
    try:
        rows = pd.read_csv(path, low_memory=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise BadData(f"{path} can't be read as CSV ({str(error).strip()}): preprocess the data again") from error
    if rows.empty:
        raise BadData(f"{path} has no rows: preprocess the data again")
    return rows


def classes_of(train: pd.DataFrame, problem_type: str, target: str) -> list[Any] | None:
    """List the classes in their order; none for a regression."""
    if target not in train.columns:
        names = ", ".join(map(str, train.columns[:8]))
        raise BadData(f"train.csv has no column '{target}', it begins with {names}: name the target with --target")
    if problem_type == REGRESSION:
        if not pd.api.types.is_numeric_dtype(train[target]):
            raise BadData(f"'{target}' is not a number: mend the target, or give another --problem-type")
        return None
    # As Python's own values, which JSON can hold.
    classes = sorted(train[target].dropna().unique().tolist())
    if len(classes) < 2 or (problem_type == BINARY and len(classes) != 2):
        raise BadData(
            f"'{target}' has {len(classes)} class(es), which is no {problem_type}: "
            "mend the target, or give another --problem-type"
        )
    return classes


def prepared(rows: pd.DataFrame, name: str, features: list[str], classes: list[Any] | None, target: str) -> Set:
    """Turn a table into numbers, with the columns in the order of the training set."""
    if set(rows.columns) != {target, *features}:
        differ = ", ".join(sorted(map(str, set(rows.columns) ^ {target, *features}))[:8])
        raise BadData(f"{name}.csv and train.csv differ in {differ}: preprocess both with the same code")
    try:
        numbers = rows[features].to_numpy(dtype="float64")
    except (TypeError, ValueError) as error:
        raise BadData(f"{name}.csv holds what is no number ({error}): encode it in preprocess/preprocess.py") from error
    if not np.isfinite(numbers).all() or rows[target].isna().any():
        raise BadData(f"{name}.csv holds missing or infinite values: fill them in preprocess/preprocess.py")
    if classes is None:
        return Set(numbers, rows[target].to_numpy(dtype="float64"))
    answers = pd.Index(classes).get_indexer(rows[target]).astype("int64")
    if (answers < 0).any():
        raise BadData(f"{name}.csv has classes that train.csv has not: preprocess both from the same data")
    return Set(numbers, answers)
