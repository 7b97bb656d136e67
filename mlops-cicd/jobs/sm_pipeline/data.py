"""Look at the data before machines are started for it: is anything there, and has it the column that is to be predicted?"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError
from mlops_cicd.clients import code_of, is_denied
from mlops_cicd.config.model import DataConfig
from mlops_cicd.definition.processing import SAMPLE, data_uri
from mlops_cicd.errors import CicdError, nearest, shown

FIRST_BYTES, MOST_BYTES = 64 * 1024, 1024 * 1024
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


class DataError(CicdError):
    """The data are not there, or are not what the configuration says."""


def look(s3: Any, bucket: str, config: DataConfig) -> str:
    """Return one line on the data. Raises DataError when the jobs could only fail on them."""
    if config.inputs.data == SAMPLE:
        return "Data: the sample that the preprocessing script brings. Name your own in data_config.inputs.data."
    uri = data_uri(bucket, config.inputs.data)
    source, _, prefix = uri.removeprefix("s3://").partition("/")
    try:
        name, size = _first(s3, source, prefix)
        columns = _header(s3, source, name, size)
    except ClientError as error:
        if source != bucket and is_denied(error):
            # Company data are open to the project's role, which the jobs have, and not to the build's.
            return f"Data: {uri}, which this build may not read; the preprocessing job will tell whether it may."
        if code_of(error) == "NoSuchBucket":
            raise DataError(
                f"data_config.inputs.data: there is no bucket {source}. Correct the address {uri}."
            ) from error
        raise
    if config.target not in columns:
        raise DataError(_without_target(config.target, columns, f"s3://{source}/{name}"))
    return f"Data: {uri}, {len(columns)} columns in {name}, among them {config.target}."


def _first(s3: Any, bucket: str, prefix: str) -> tuple[str, int]:
    """Return the first CSV file that holds anything: its key and its size in bytes."""
    seen = 0
    for entry in _objects(s3, bucket, prefix):
        seen += 1
        if entry["Size"] > 0 and entry["Key"].lower().endswith(".csv"):
            return entry["Key"], entry["Size"]
    place = f"s3://{bucket}/{prefix}"
    if seen:
        raise DataError(
            f"data_config.inputs.data: {seen} objects lie under {place}, and none is a .csv file that holds anything. Put CSV files"
            " with a header there."
        )
    raise DataError(
        f"data_config.inputs.data: nothing lies under {place}. Upload CSV files there (notebook 0_upload_data), or write sample."
    )


def _objects(s3: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def _header(s3: Any, bucket: str, key: str, size: int) -> list[str]:
    """Return the columns of a CSV file, from its first bytes."""
    for length in (FIRST_BYTES, MOST_BYTES):
        body = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{length - 1}")["Body"].read()
        if b"\n" in body or size <= len(body):
            break
    else:
        raise DataError(
            f"s3://{bucket}/{key}: its first line has more than {MOST_BYTES} characters. Is it a CSV file with a header?"
        )
    try:
        text = body.decode("utf-8-sig", errors="strict" if size <= len(body) else "ignore")
        return [column.strip() for column in next(csv.reader(io.StringIO(text)), [])]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"s3://{bucket}/{key}: this is no CSV file in UTF-8 ({error}). Save it as such.") from error


def _without_target(target: str, columns: list[str], file: str) -> str:
    what = f"data_config.target: {file} has no column {shown(target)}."
    if len(columns) == 1:
        for separator, name in _SEPARATORS.items():
            if separator in columns[0]:
                return f"{what} Its header is separated by {name}; separate columns with commas."
    guess = nearest(target, columns)
    hint = f" Did you mean {shown(guess)}?" if guess else ""
    listed = shown(", ".join(columns), 300)
    return f"{what}{hint} Its header: {listed}. Correct data_config.target, or give the files a header."
