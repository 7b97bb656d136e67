"""What training left: unpack model.tar.gz without trusting it, and read the card that says what the model takes."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from failures import StepError, one_line

CLASSIFICATION = ("binary_classification", "multiclass_classification")
PROBLEM_TYPES = (*CLASSIFICATION, "regression")


@dataclass(frozen=True)
class Card:
    """What a model says of itself in model_card.json; classes are in the order of the probabilities, none for numbers."""

    features: tuple[str, ...]
    classes: tuple[str, ...]


def label_text(value: object) -> str:
    """Give a label as text; a whole number is the same with and without a decimal point, as tables write either."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", str(value).strip())


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a model archive into a folder; raise StepError for one that is broken or reaches out of the folder.

    Links are never made: what a link to a file of the archive stands for is written in its place. This does not rest on
    the filters of tarfile, which not every Python of AWS's images has."""
    if not archive.is_file():
        raise StepError(f"there is no {archive.name} in {archive.parent}: look at the training step, which writes it")
    try:
        with tarfile.open(archive, "r:*") as tar:
            members = tar.getmembers()
            size, free = sum(member.size for member in members), shutil.disk_usage(folder).free
            if size > free:
                raise StepError(
                    f"the model unpacks to {size >> 20} MB and {free >> 20} MB are free: enlarge the job's volume"
                )
            for member in members:
                _write(tar, member, folder)
    except (tarfile.TarError, EOFError, zlib.error, OSError, UnicodeError) as error:
        raise StepError(f"{archive.name} can't be unpacked ({one_line(error)}): run the training step again") from error


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one member below the folder."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\0" in member.name:
        raise StepError(f"the model archive names {member.name!r}, outside of its folder: write the model anew")
    target = folder.joinpath(*path.parts)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    content = None
    if member.isfile() or member.issym() or member.islnk():
        try:
            content = tar.extractfile(member)
        except (KeyError, RecursionError):
            content = None
    if content is None:
        raise StepError(
            f"the model archive holds {member.name!r}, a link out of it or a device: let train.py write plain files"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, target.open("wb") as file:
        shutil.copyfileobj(content, file)


def read_card(folder: Path, problem_type: str, target: str, features: Sequence[str]) -> Card:
    """Read model_card.json of an unpacked model, and hold it against what the step was given and the table has."""
    path = folder / "model_card.json"
    mend = "let train.py write it with problem_type, target, features and classes"
    if not path.is_file():
        raise StepError(f"the model folder holds no model_card.json: {mend}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StepError(f"model_card.json is no JSON ({error}): {mend}") from error
    if not isinstance(found, dict) or not isinstance(found.get("features"), list):
        raise StepError(f"model_card.json names no list of features: {mend}")
    for key, asked in (("problem_type", problem_type), ("target", target)):
        if found.get(key) != asked:
            raise StepError(
                f"model_card.json says {key} {found.get(key)!r}, and the pipeline {asked!r}: train with what the pipeline gives"
            )
    named = tuple(str(name) for name in found["features"])
    if named != tuple(features):
        raise StepError(f"{_difference(named, tuple(features))}: train on what the preprocessing step wrote")
    return Card(named, _classes(found.get("classes"), problem_type))


def _difference(model: tuple[str, ...], table: tuple[str, ...]) -> str:
    """Say how two lists of features differ."""
    missing = [name for name in model if name not in table]
    more = [name for name in table if name not in model]
    if missing:
        return f"the model takes {_few(missing)}, which the table does not have"
    if more:
        return f"the table has {_few(more)}, which the model does not take"
    return "the model takes the features in another order than the table has them"


def _few(names: Sequence[str]) -> str:
    """Name a few of many."""
    return ", ".join(repr(name) for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _classes(found: object, problem_type: str) -> tuple[str, ...]:
    """Read the classes of a card."""
    if problem_type not in CLASSIFICATION:
        return ()
    classes = tuple(label_text(value) for value in found) if isinstance(found, list) else ()
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise StepError(
            f"model_card.json gives the classes {found!r}: let train.py write each class once, in the order of the probabilities"
        )
    if problem_type == "binary_classification" and len(classes) != 2:
        raise StepError(
            f"model_card.json gives {len(classes)} classes for {problem_type}: give two, or another problem type"
        )
    return classes
