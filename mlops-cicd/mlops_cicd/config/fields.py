"""The kinds of values that the configuration file holds, each with the sentence that mends a wrong one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mlops_cicd.config.schedule import schedule_problem
from mlops_cicd.errors import shown

_INSTANCE_TYPE = r"^ml\.[a-z][a-z0-9-]*\.[a-z0-9]+$"
_MODULE = r"[A-Za-z_][A-Za-z0-9_]*\.py"
_CONTENT_TYPE = r"^[a-z]+/[a-z0-9][a-z0-9.+-]*$"
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_PREFIX = re.compile(r"(?!.*//)[A-Za-z0-9!_.'()*-][A-Za-z0-9!_.'()*/=+ -]*")
_URI = re.compile(rf"s3://{_BUCKET}/(.+)")


def wrong(what: str, mend: str) -> PydanticCustomError:
    """Return the error of a value: what is wrong with it, and what to do."""
    # Braces would be read as places to fill in.
    return PydanticCustomError("config", "{what}", {"what": what, "mend": mend})


def _checked(problem: Callable[[Any], tuple[str, str] | None]) -> AfterValidator:
    def check(value: Any) -> Any:
        found = problem(value)
        if found:
            raise wrong(*found)
        return value

    return AfterValidator(check)


def path_problem(text: str) -> tuple[str, str] | None:
    """Return what is wrong with a path within the project, and the mend."""
    mend = "Write the path as it is in the repository, as preprocess/requirements.txt."
    if text.startswith(("/", "~")) or re.match(r"[A-Za-z]:", text):
        return f"{shown(text)} is an absolute path", mend
    if "\\" in text:
        return f"{shown(text)} has a backslash", mend
    parts = text.split("/")
    if ".." in parts:
        return f"{shown(text)} leads out of the repository", mend
    if any(part in ("", ".") or part.startswith(".") for part in parts):
        return f"{shown(text)} has an empty or hidden part", mend
    if not re.fullmatch(r"[A-Za-z0-9_./ -]+", text):
        return f"{shown(text)} has characters other than letters, digits, dots, dashes, spaces and underscores", mend
    return None


def _entrypoint(folder: str) -> AfterValidator:
    mend = f"Name a Python file that lies directly in {folder}/, as {folder}/{folder}.py."

    def problem(text: str) -> tuple[str, str] | None:
        found = path_problem(text)
        if found:
            return found[0], mend
        if not re.fullmatch(rf"{folder}/{_MODULE}", text):
            return f"{shown(text)} is no Python file directly in {folder}/", mend
        return None

    return _checked(problem)


def _data_problem(text: str) -> tuple[str, str] | None:
    mend = "Write sample, a prefix of the project's bucket as data/, or an address as s3://company-data/churn/."
    if text == "sample":
        return None
    if re.match(r"(?i)s3:", text):
        match = _URI.fullmatch(text)
        if not match or ".." in text.removeprefix("s3://").split("/")[0]:
            return f"{shown(text)} is no S3 address with a bucket and a prefix", mend
        text = match[1]
    if text.startswith("/"):
        return f"{shown(text)} begins with a slash, which no prefix in S3 does", mend
    if ".." in text.split("/") or not _PREFIX.fullmatch(text):
        return f"{shown(text)} is no prefix in S3", mend
    return None


def _regex_problem(text: str) -> tuple[str, str] | None:
    mend = "Write a regular expression with one group around the number, as 'auc=([0-9.]+)'; (?:...) groups without counting."
    try:
        groups = re.compile(text).groups
    except (re.error, RecursionError, OverflowError) as error:
        return f"{shown(text)} is no regular expression ({error})", mend
    return None if groups == 1 else (f"{shown(text)} has {groups} groups and not one", mend)


Text = Annotated[str, Field(strict=True, min_length=1, max_length=256)]
Count = Annotated[int, Field(strict=True, ge=1, le=100)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
InstanceType = Annotated[str, Field(strict=True, max_length=40, pattern=_INSTANCE_TYPE)]
ContentType = Annotated[str, Field(strict=True, max_length=100, pattern=_CONTENT_TYPE)]
ProjectFile = Annotated[str, Field(strict=True, min_length=1, max_length=200), _checked(path_problem)]
PreprocessFile = Annotated[str, Field(strict=True, max_length=200), _entrypoint("preprocess")]
TrainFile = Annotated[str, Field(strict=True, max_length=200), _entrypoint("train")]
InferenceFile = Annotated[str, Field(strict=True, max_length=200), _entrypoint("inference")]
DataPlace = Annotated[str, Field(strict=True, min_length=1, max_length=1024), _checked(_data_problem)]
MetricRegex = Annotated[str, Field(strict=True, min_length=1, max_length=500), _checked(_regex_problem)]
Schedule = Annotated[str, Field(strict=True, max_length=256), _checked(schedule_problem)]
