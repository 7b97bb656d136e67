"""Measure a model on the test set: a SageMaker processing job that writes evaluation.json.

For an endpoint, the model is asked through its own inference program; for batch, the transform's answers are read, which lie
in input/predictions then. What the gate of the pipeline reads is `<problem>_metrics.<metric>.value`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import csv_tables
import predictions
import quality
from failures import Words, base, put_json, run
from model_archive import CLASSIFICATION, PROBLEM_TYPES, read_card, unpack
from serving_code import serving

STEP = "evaluate"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = Words(description="Measure a model on the test set.")
    parser.add_argument("--problem-type", required=True, choices=PROBLEM_TYPES)
    parser.add_argument("--target", required=True, help="column to predict")
    parser.add_argument("--program", required=True, help="file name of the inference program, in code/ of the model")
    parser.add_argument("--timeout", type=float, default=300, help="seconds that one answer may take")
    parser.add_argument("--batch-rows", type=int, default=1000, help="rows in one request")
    asked = parser.parse_args(words)
    if asked.timeout <= 0 or asked.batch_rows <= 0:
        parser.error("--timeout and --batch-rows must be above 0")
    return asked


def evaluate(asked: argparse.Namespace, job: Path, report: Path) -> None:
    """Evaluate the model of a processing job, and write the report."""
    table = csv_tables.read(job / "input" / "test", asked.target)
    answers = job / "input" / "predictions"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        unpack(job / "input" / "model" / "model.tar.gz", folder)
        card = read_card(folder, asked.problem_type, asked.target, table.features)
        if answers.is_dir():
            found = predictions.of_transform(answers, card, table)
        else:
            with serving(folder, asked.program, asked.timeout) as served:
                found = predictions.predict_table(served, card, table, asked.batch_rows)
    truth = table.column(asked.target)
    measured = quality.metrics(asked.problem_type, card, truth, found)
    document: dict[str, Any] = {
        "version": 0.0,
        f"{asked.problem_type}_metrics": measured,
        "rows": table.rows,
        "target": asked.target,
    }
    if asked.problem_type in CLASSIFICATION:
        document["classes"] = list(card.classes)
    if asked.problem_type == "binary_classification":
        document["positive_class"] = quality.positive(card)
    put_json(report, document)
    how = "by the transform job" if answers.is_dir() else f"through {asked.program}"
    print(f"{table.rows} rows of the test set, answered {how}:\n{shown(measured)}", flush=True)


def shown(measured: dict[str, Any]) -> str:
    """Give the metrics as a short table for people."""
    lines = [f"  {name:<20}{entry['value']:>12.4f}" for name, entry in measured.items() if "value" in entry]
    matrix = measured.get("confusion_matrix", {})
    if matrix and len(matrix) <= 10:
        width = max(10, *(len(name) + 2 for name in matrix))
        lines.append(f"  {'actual / predicted':<20}" + "".join(f"{name:>{width}}" for name in matrix))
        for actual, row in matrix.items():
            lines.append(f"  {actual:<20}" + "".join(f"{count:>{width}}" for count in row.values()))
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Run the step; give the exit code."""
    job = base() / "processing"
    report = job / "output" / "evaluation" / "evaluation.json"
    return run(STEP, lambda: evaluate(arguments(words), job, report), [report])


if __name__ == "__main__":
    sys.exit(main())
