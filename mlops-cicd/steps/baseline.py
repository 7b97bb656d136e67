"""Write down what later runs are compared with: a SageMaker processing job over the training set, the test set and the model.

It writes baseline/statistics.json and constraints.json of the training features, bias/analysis.json and
explainability/analysis.json, all of them or none."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import bias
import csv_tables
import distributions
import importance
import pandas as pd
import predictions
from csv_tables import Table
from failures import StepError, Words, base, put_json, run
from model_archive import PROBLEM_TYPES, read_card, unpack
from serving_code import serving

STEP = "baseline"
OUTPUTS = (
    "baseline/statistics.json",
    "baseline/constraints.json",
    "bias/analysis.json",
    "explainability/analysis.json",
)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = Words(description="Write down what later runs are compared with.")
    parser.add_argument("--problem-type", required=True, choices=PROBLEM_TYPES)
    parser.add_argument("--target", required=True, help="column to predict")
    parser.add_argument("--program", required=True, help="file name of the inference program, in code/ of the model")
    parser.add_argument("--facets", default="[]", help="bias_config.facets as JSON")
    parser.add_argument("--timeout", type=float, default=300, help="seconds that one answer may take")
    parser.add_argument("--batch-rows", type=int, default=1000, help="rows in one request")
    asked = parser.parse_args(words)
    if asked.timeout <= 0 or asked.batch_rows <= 0:
        parser.error("--timeout and --batch-rows must be above 0")
    return asked


def baseline(asked: argparse.Namespace, job: Path) -> None:
    """Compute the files of a processing job, and write them when all are there."""
    train = csv_tables.read(job / "input" / "train", asked.target)
    test = csv_tables.read(job / "input" / "test", asked.target)
    if train.features != test.features:
        raise StepError(
            "the training and the test set differ in their columns: let the preprocessing step write the same"
        )
    facets = bias.read_facets(asked.facets, train.features)
    statistics = distributions.statistics(frame(train))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        unpack(job / "input" / "model" / "model.tar.gz", folder)
        card = read_card(folder, asked.problem_type, asked.target, test.features)
        with serving(folder, asked.program, asked.timeout) as served:
            found = predictions.predict_table(served, card, test, asked.batch_rows) if facets else None
            explained = importance.analysis(served, card, test, asked.batch_rows)
    documents = (
        statistics,
        distributions.constraints(statistics),
        bias.analysis(asked.problem_type, card, facets, train, test, found),
        explained,
    )
    for name, document in zip(OUTPUTS, documents):  # noqa: B905 - Python 3.9 has no strict
        put_json(job / "output" / name, document)
    most = ", ".join(explained["ranking"][:5])
    print(
        f"{train.rows} rows of {len(train.features)} features; {len(facets)} facet(s); most important: {most}",
        flush=True,
    )


def frame(table: Table) -> pd.DataFrame:
    """Read the features of a table with the types that they have."""
    parts = [pd.read_csv(path, skipinitialspace=True, low_memory=False) for path in table.files]
    whole = pd.concat(parts, ignore_index=True)
    whole.columns = list(table.columns)
    return whole[list(table.features)]


def main(words: Sequence[str] | None = None) -> int:
    """Run the step; give the exit code."""
    job = base() / "processing"
    return run(STEP, lambda: baseline(arguments(words), job), [job / "output" / name for name in OUTPUTS])


if __name__ == "__main__":
    sys.exit(main())
