"""Split a table into the sets for training, validation and test with Spark, for data that outgrows one machine.

A SageMaker processing job runs this in AWS's Spark image, on one machine or several. What it writes is laid out as preprocess.py
lays it out: SET/SET.csv with a header and the target first, batch/batch.csv without both, metadata/metadata.json. It needs
pyspark and nothing else.

Which set a row is in follows from its content and the seed, on however many machines: equal rows are in the same set, and the
shares are met roughly, better with more rows. There is no sample here; name the data in data_config.inputs."""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql import types as t
from pyspark.sql.utils import AnalysisException

CLASSIFICATION = ("binary_classification", "multiclass_classification")
# Of a job, below the input: its own code.
CODE = "code"
# More classes than this are counted, not listed: the target is a number, or an identifier.
MOST_CLASSES = 1000
SETS = ("train", "validation", "test")
# The column that says which set a row is in; no name of a table's own.
SET = "__set__"


class BadData(Exception):
    """The data can't be used; the message says why, and ends with what to do."""


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; the defaults are those of a processing job."""
    place = base() / "processing"
    parser = argparse.ArgumentParser(description="Split a table into sets with Spark.", allow_abbrev=False)
    parser.add_argument("--input", type=Path, default=place / "input", help="folder with .csv files")
    parser.add_argument("--output", type=Path, default=place / "output", help="folder for the sets")
    parser.add_argument("--target", default="target", help="column to predict")
    parser.add_argument("--problem-type", default=CLASSIFICATION[0], choices=(*CLASSIFICATION, "regression"))
    parser.add_argument("--validation-share", type=float, default=0.15, help="share of the rows, between 0 and 1")
    parser.add_argument("--test-share", type=float, default=0.15, help="share of the rows, between 0 and 1")
    parser.add_argument("--seed", type=int, default=42, help="the same seed and data give the same sets")
    return parser.parse_args(words)


def base() -> Path:
    """Give the folder in which SageMaker puts what a job reads and takes what it writes."""
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def sources(folder: Path) -> list[Path]:
    """List the .csv files below a folder, without the job's own code and what is hidden."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [(path, path.relative_to(folder).parts) for path in found]
    found = [path for path, parts in names if parts[0] != CODE and not any(part.startswith(".") for part in parts)]
    files = [path for path in found if path.suffix.lower() == ".csv"]
    if found and not files:
        raise BadData(f"{folder} holds no .csv file, but {listed(found)}: convert the data to CSV with a header")
    if not files:
        raise BadData(f"There is no data in {folder}: name a place with .csv files as data_config.inputs.data")
    return files


def header(path: Path) -> list[str]:
    """Read the names of a file's columns, and refuse those that can't be told apart."""
    with path.open(newline="", encoding="utf-8-sig") as lines:
        names = next(csv.reader(lines), [])
    # Spark takes `A` and `a` for one column.
    lowered = [name.lower() for name in names]
    twice = sorted({name for name in names if lowered.count(name.lower()) > 1})
    if not names:
        raise BadData(f"{path} is empty: remove it, or write the table into it")
    if twice or not all(names):
        wrong = (
            f"more than one column called {listed(twice)}" if twice else "a column without a name, such as a row number"
        )
        raise BadData(f"{path} has {wrong}: give each column a name of its own")
    return names


def read(spark: SparkSession, files: list[Path]) -> DataFrame:
    """Read files as one table of text; what is a number is seen later, over all rows."""
    names = header(files[0])
    for path in files[1:]:
        differ = sorted(set(names) ^ set(header(path)))
        if differ:
            raise BadData(f"{path} and {files[0]} differ in {listed(differ)}: give all files the same columns")
    parts = []
    for path in files:
        schema = t.StructType([t.StructField(name, t.StringType()) for name in header(path)])
        # Each machine of a job has all files in its own folder: the input is FullyReplicated. Lines are rows, so that a large
        # file is read in pieces.
        part = spark.read.csv(path.absolute().as_uri(), schema=schema, header=True, mode="FAILFAST", escape='"')
        parts.append(part.select([column(name) for name in names]))
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.unionByName(part)
    return whole


def column(name: str) -> Column:
    """Name a column of a table, whatever dots or spaces its name has."""
    return f.col("`" + name.replace("`", "``") + "`")


def number(name: str) -> Column:
    """Read a column as numbers; null where a value is none. True and false are 1 and 0."""
    text = f.lower(f.trim(column(name)))
    truth = f.when(text == "true", f.lit(1.0)).when(text == "false", f.lit(0.0))
    return f.coalesce(truth, f.trim(column(name)).cast("double"))


def check(data: DataFrame, asked: argparse.Namespace) -> dict[str, int]:
    """Refuse a table that no model should be trained on, with all that is wrong with it; give the rows of each class."""
    names, target, problems = data.columns, asked.target, []
    if target not in names:
        raise BadData(f"There is no column '{target}', only {listed(names)}: name the target with --target")
    if len(names) == 1:
        raise BadData(f"There is no column but '{target}': add the features")
    classes = asked.problem_type in CLASSIFICATION
    numeric = [name for name in names if name != target or not classes]
    present = [f.count(column(name)).alias(f"present {place}") for place, name in enumerate(names)]
    numbers = [f.count(number(name)).alias(f"numbers {place}") for place, name in enumerate(numeric)]
    endless = [
        f.count(f.when(f.isnan(number(name)) | (f.abs(number(name)) == float("inf")), 1)).alias(f"endless {place}")
        for place, name in enumerate(numeric)
    ]
    found = data.agg(f.count(f.lit(1)).alias("rows"), *present, *numbers, *endless).first()
    if found is None or not found["rows"]:
        raise BadData("The files have a header and no rows: write the rows into them")
    rows, counts = found["rows"], {name: found[f"present {place}"] for place, name in enumerate(names)}
    empty = [name for name in names if not counts[name]]
    if empty:
        problems.append(
            f"{listed(empty)} hold no value at all: drop the columns, or look for where their values were lost"
        )
    missing = [f"{name} ({rows - counts[name]})" for name in names if 0 < counts[name] < rows]
    if missing:
        problems.append(f"values are missing in {listed(missing)}: fill them or drop the rows")
    words = [name for place, name in enumerate(numeric) if found[f"numbers {place}"] < counts[name]]
    if words:
        problems.append(f"{listed(words)} are not numbers: encode them here, before the split is written")
    infinite = [name for place, name in enumerate(numeric) if found[f"endless {place}"]]
    if infinite:
        problems.append(f"{listed(infinite)} hold infinite values: bound them or drop the rows")
    kinds = data.groupBy(column(target)).count().limit(MOST_CLASSES + 1).collect()
    if len(kinds) < 2:
        problems.append(f"'{target}' has one value only: there is nothing to learn, look for the rows that are missing")
    elif asked.problem_type == CLASSIFICATION[0] and len(kinds) != 2:
        problems.append(f"'{target}' has more than 2 different values: mend the target, or give another --problem-type")
    elif classes and len(kinds) > MOST_CLASSES:
        problems.append(
            f"'{target}' has more than {MOST_CLASSES} classes: mend the target, or give another --problem-type"
        )
    if problems:
        raise BadData("The data can't be used:\n" + "\n".join(f"  - {problem}" for problem in problems))
    return {str(kind[0]): int(kind[1]) for kind in kinds} if classes else {}


def split(data: DataFrame, asked: argparse.Namespace) -> DataFrame:
    """Say of each row which set it is in, and turn features into numbers."""
    shares = asked.validation_share, asked.test_share
    if min(shares) <= 0 or sum(shares) >= 1:
        raise BadData("The shares of validation and test must be above 0, and together below 1: change --test-share")
    # A row's place between 0 and 1. The hash is Spark's own and the same on every machine.
    whole = 2**31
    place = f.pmod(f.xxhash64(f.lit(asked.seed), *[column(name) for name in data.columns]), f.lit(whole)) / whole
    chosen = f.when(place < shares[1], "test").when(place < sum(shares), "validation").otherwise("train")
    features = [number(name).alias(name) for name in data.columns if name != asked.target]
    target = column(asked.target) if asked.problem_type in CLASSIFICATION else number(asked.target).alias(asked.target)
    return data.select(chosen.alias(SET), target, *features)


def write(rows: DataFrame, name: str, folder: Path) -> tuple[int, dict[str, int]]:
    """Write a set; give its rows, and those of each value of the target.

    One file, from the first machine, row by row: what other machines wrote into their own folders, Spark's first machine would not
    find, and the set would be lost without a word. Only this machine's disk must hold it, its memory need not."""
    names = [one for one in rows.columns if one != SET]
    number, kinds = 0, dict[str, int]()
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        # In one order, on however many machines.
        for row in rows.where(column(SET) == name).drop(SET).orderBy(*[column(one) for one in names]).toLocalIterator():
            writer.writerow([shown(value) for value in row])
            number += 1
            kinds[str(row[0])] = kinds.get(str(row[0]), 0) + 1 if len(kinds) <= MOST_CLASSES else 0
    return number, kinds


def shown(value: object) -> object:
    """Write a whole number without a point, as other tools do."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def without_target(path: Path, to: Path) -> None:
    """Copy a set without header and target."""
    with path.open(newline="", encoding="utf-8") as given, to.open("w", newline="", encoding="utf-8") as file:
        lines = csv.reader(given)
        next(lines)
        csv.writer(file, lineterminator="\n").writerows(line[1:] for line in lines)


def prepare(spark: SparkSession, asked: argparse.Namespace) -> dict[str, int]:
    """Read, check, split and write; nothing is left of sets that turn out unusable."""
    files = sources(asked.input)
    data = read(spark, files).cache()
    classes = check(data, asked)
    rows = split(data, asked)
    beside = asked.output / ".beside"
    shutil.rmtree(beside, ignore_errors=True)
    counts: dict[str, int] = {}
    kinds: dict[str, dict[str, int]] = {}
    try:
        for name in (*SETS, "batch", "metadata"):
            (beside / name).mkdir(parents=True)
        for name in SETS:
            counts[name], kinds[name] = write(rows, name, beside / name)
            lack = sorted(set(classes) - set(kinds[name]))
            if not counts[name] or lack:
                what = f"no row of {listed(lack)}" if lack else "no rows"
                raise BadData(f"The set {name} would have {what}: add rows, or change the shares or the seed")
        without_target(beside / "test" / "test.csv", beside / "batch" / "batch.csv")
        found = {
            "sources": [path.relative_to(asked.input).as_posix() for path in files],
            "problem_type": asked.problem_type,
            "target": asked.target,
            "features": [name for name in data.columns if name != asked.target],
            "rows": counts,
            "seed": asked.seed,
            **({"classes": {name: dict(sorted(kinds[name].items())) for name in SETS}} if classes else {}),
        }
        (beside / "metadata" / "metadata.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        for path in sorted(beside.iterdir()):
            (asked.output / path.name).mkdir(exist_ok=True)
            for file in path.iterdir():
                file.replace(asked.output / path.name / file.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return counts


def tell(message: str) -> None:
    """Have the job's description say why it failed, besides its log. On a laptop there is no such place."""
    if base().is_dir():
        (base() / "output").mkdir(exist_ok=True)
        (base() / "output" / "message").write_text(message[:1000], encoding="utf-8")


def listed(names: Iterable[object]) -> str:
    """Name a few of many."""
    found = [str(name) for name in names]
    return ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")


def main(words: Sequence[str] | None = None) -> None:
    """Read, check, split and write. Ends the process with a message when the data can't be used."""
    asked = arguments(words)
    spark = SparkSession.builder.appName("preprocess").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        rows = prepare(spark, asked)
    except BadData as error:
        tell(str(error))
        sys.exit(f"preprocess: {error}")
    except (AnalysisException, Py4JJavaError) as error:
        reason = " ".join(str(getattr(error, "java_exception", error)).split())[:400]
        message = f"Spark can't read the data: look for lines with too few values, or line breaks within quotes. It said: {reason}"
        tell(message)
        sys.exit(f"preprocess: {message}")
    finally:
        spark.stop()
    print(
        f"{sum(rows.values())} rows: {', '.join(f'{name} {count}' for name, count in rows.items())}. They are in {asked.output}."
    )


if __name__ == "__main__":
    main()
