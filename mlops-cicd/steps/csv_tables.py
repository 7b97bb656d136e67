"""The tables between the steps, read row by row as text, so that a model is given exactly what the file says.

A folder holds one table: test.csv, or the parts that Spark writes, each with a header, the target first."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from failures import StepError

# A field may hold a document; Python's own limit is 128 KB.
csv.field_size_limit(16 << 20)


@dataclass(frozen=True)
class Batch:
    """Some rows of a table: all fields by the table's columns, the target's apart."""

    labels: list[str]
    features: list[list[str]]


@dataclass(frozen=True)
class Table:
    """A checked table: its files in order of their names, its columns, the target's place and the number of rows."""

    name: str
    files: tuple[Path, ...]
    columns: tuple[str, ...]
    target: str
    rows: int

    @property
    def features(self) -> tuple[str, ...]:
        """Give the columns without the target."""
        return tuple(name for name in self.columns if name != self.target)

    def batches(self, size: int) -> Iterator[Batch]:
        """Give the rows in batches, in the order of the files."""
        at = self.columns.index(self.target)
        batch = Batch([], [])
        for path in self.files:
            for _, row in _body(path):
                batch.labels.append(row[at])
                batch.features.append(row[:at] + row[at + 1 :])
                if len(batch.labels) == size:
                    yield batch
                    batch = Batch([], [])
        if batch.labels:
            yield batch

    def column(self, name: str) -> list[str]:
        """Give all fields of one column as text."""
        if name == self.target:
            return [label for batch in self.batches(1000) for label in batch.labels]
        at = self.features.index(name)
        return [row[at] for batch in self.batches(1000) for row in batch.features]

    def sample(self, most: int, seed: int) -> Batch:
        """Give at most so many rows, taken at random, in the table's order; the same seed gives the same ones."""
        chosen = set(random.Random(seed).sample(range(self.rows), min(most, self.rows)))  # noqa: S311 - no secret
        taken, at = Batch([], []), 0
        for batch in self.batches(1000):
            for label, row in zip(batch.labels, batch.features):  # noqa: B905 - Python 3.9 has no strict
                if at in chosen:
                    taken.labels.append(label)
                    taken.features.append(row)
                at += 1
        return taken


def read(folder: Path, target: str) -> Table:
    """Check the table in a folder: a header with the target, features, rows of one width; raise StepError if not."""
    name = f"the {folder.name} set"
    files = table_files(folder)
    columns = _header(files[0])
    if target not in columns:
        raise StepError(
            f"{name} has no column {target!r}, only {', '.join(columns[:8])}: name the target in data_config.target"
        )
    if len(set(columns)) != len(columns):
        twice = sorted({column for column in columns if columns.count(column) > 1})
        raise StepError(f"{name} has {', '.join(twice)} more than once: give each column a name of its own")
    if len(columns) == 1:
        raise StepError(f"{name} has no column but {target!r}: let the preprocessing step write the features")
    rows = 0
    for path in files:
        if _header(path) != columns:
            raise StepError(
                f"{path.name} and {files[0].name} have different headers: write all parts with the same columns"
            )
        for line, row in _body(path):
            if len(row) != len(columns):
                raise StepError(
                    f"{path.name} line {line} has {len(row)} fields and the header {len(columns)}: mend the preprocessing step"
                )
            rows += 1
    if not rows:
        raise StepError(f"{name} has no rows: let the preprocessing step keep more for it")
    return Table(name, files, tuple(columns), target, rows)


def table_files(folder: Path) -> tuple[Path, ...]:
    """Give the .csv files of a folder by name; files that Spark or a notebook keeps for itself are none."""
    found = sorted(path for path in folder.glob("*.csv") if path.is_file() and path.name[0] not in "._")
    if not found:
        raise StepError(f"there is no .csv file in {folder}: look at what the preprocessing step wrote")
    return tuple(found)


def csv_text(rows: Sequence[Sequence[str]]) -> str:
    """Write rows as CSV without a header, as a client of the endpoint sends them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def csv_rows(text: str) -> list[list[str]]:
    """Read the rows of a CSV text without a header; empty lines are none."""
    return [row for row in csv.reader(io.StringIO(text)) if row]


def _header(path: Path) -> list[str]:
    """Read the first line of a file."""
    for _, row in _lines(path):
        return [column.strip() for column in row]
    raise StepError(f"{path.name} is empty: look at what the preprocessing step wrote")


def _body(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Give the rows after the header, each with the number of its line."""
    lines = _lines(path)
    next(lines, None)
    return lines


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Give the rows of a file that are not empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise StepError(f"{path.name} can't be read as CSV ({error}): write it as UTF-8, with commas") from error
