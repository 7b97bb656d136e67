"""What a model answered: read it by the contract of the inference program, and refuse what no metric may be computed from."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from csv_tables import Table, csv_rows
from failures import StepError
from model_archive import Card, label_text
from numpy.typing import NDArray
from serving_code import Served

# A probability that was printed with few digits still counts.
ROUNDING = 0.01


@dataclass(frozen=True)
class Predictions:
    """Answers in the order of the rows: labels and probabilities (rows x classes), or numbers."""

    labels: tuple[str, ...]
    probabilities: NDArray[np.float64]
    numbers: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels) or len(self.numbers)


def predict(served: Served, card: Card, batches: Iterator[Sequence[Sequence[str]]]) -> Predictions:
    """Ask a served model for batches of feature rows."""
    found: list[list[str]] = []
    for rows in batches:
        answer = csv_rows(served.ask(rows))
        if len(answer) != len(rows):
            raise StepError(
                f"the model gave {len(answer)} predictions for {len(rows)} rows: let output_fn give one line for each row, "
                "and no header"
            )
        found += answer
    return parsed(found, card)


def predict_table(served: Served, card: Card, table: Table, size: int) -> Predictions:
    """Ask a served model for all rows of a table."""
    return predict(served, card, (batch.features for batch in table.batches(size)))


def of_transform(folder: Path, card: Card, table: Table) -> Predictions:
    """Read the .out files of a transform job over the features of the table."""
    files = sorted((path for path in folder.rglob("*.out") if path.is_file()), key=_natural)
    if not files:
        raise StepError(
            f"there is no .out file in {folder}: look at the transform step, which writes one for each input"
        )
    found: list[list[str]] = []
    for path in files:
        try:
            found += csv_rows(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise StepError(f"{path.name} is no text ({error}): let output_fn answer text/csv with text") from error
    if len(found) != table.rows:
        one_more = " A header row in the batch data is scored as a row." if len(found) == table.rows + 1 else ""
        raise StepError(
            f"there are {len(found)} predictions and {table.name} has {table.rows} rows.{one_more} Let the preprocessing "
            "step write the same rows to batch and test, batch without a header and without the target"
        )
    return parsed(found, card)


def parsed(rows: Sequence[Sequence[str]], card: Card) -> Predictions:
    """Read the fields of all answers; raise StepError for the first that can't be meant."""
    none = np.zeros((0, 0))
    if not card.classes:
        return Predictions((), none, np.array([_number(row, at) for at, row in enumerate(rows, 1)], dtype=float))
    labels = tuple(_label(row, at, card) for at, row in enumerate(rows, 1))
    shares = [[_probability(field, at) for field in row[1:]] for at, row in enumerate(rows, 1)]
    for at, row in enumerate(shares, 1):
        if abs(sum(row) - 1) > ROUNDING:
            raise StepError(
                f"the probabilities of prediction {at} add up to {sum(row):g}, not 1: give one for each class in output_fn"
            )
    return Predictions(labels, np.array(shares, dtype=float), np.zeros(0))


def _number(row: Sequence[str], at: int) -> float:
    """Read the prediction of a regression."""
    if len(row) != 1:
        raise StepError(f"prediction {at} has {len(row)} fields: for regression, let output_fn give one number a line")
    return _finite(row[0], at)


def _label(row: Sequence[str], at: int, card: Card) -> str:
    """Read the label of a classification."""
    if len(row) != 1 + len(card.classes):
        raise StepError(
            f"prediction {at} has {len(row)} fields: let output_fn give the label and the probability of each of the "
            f"{len(card.classes)} classes"
        )
    label = label_text(row[0])
    if label not in card.classes:
        raise StepError(
            f"prediction {at} is the unknown label {row[0]!r}; the model's classes are {', '.join(card.classes[:8])}: "
            "let output_fn give one of them, and no header"
        )
    return label


def _probability(field: str, at: int) -> float:
    """Read a probability."""
    value = _finite(field, at)
    if not -1e-9 <= value <= 1 + 1e-9:
        raise StepError(f"prediction {at} holds the probability {field}, which is not between 0 and 1: mend predict_fn")
    return value


def _finite(field: str, at: int) -> float:
    """Read a number that is one."""
    try:
        value = float(field)
    except ValueError:
        raise StepError(f"prediction {at} holds {field[:60]!r} and not a number: mend output_fn") from None
    if not math.isfinite(value):
        raise StepError(f"prediction {at} is {field.strip()}: look for missing values in the data, and mend predict_fn")
    return value


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort part-10 after part-2."""
    parts = re.split(r"(\d+)", path.as_posix())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
