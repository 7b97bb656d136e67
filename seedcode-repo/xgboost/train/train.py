"""Train boosted trees on the sets that preprocessing wrote, and say how good they are on the validation set.

A SageMaker training job gives the sets as channels and takes what lies in the model's folder. On a laptop, name the folders:

    python train/train.py --train build/train --validation build/validation --model-dir build/model

Every hyperparameter of model_config.yaml is an option of the same name; one that is not there ends with a message. The same
data, options and seed give the same model. It needs what AWS's XGBoost image holds, and nothing else.

On several hosts (`distribution: framework` in model_config.yaml, an instance_count above 1) each takes every so-manieth row, and
XGBoost's own collective joins them: see `together`."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from report import base, log, measure, tell
from sets import BINARY, MULTICLASS, REGRESSION, BadData, Data, Set, load
from xgboost import collective
from xgboost.core import XGBoostError
from xgboost.tracker import RabitTracker

OBJECTIVES = {BINARY: "binary:logistic", MULTICLASS: "multi:softprob", REGRESSION: "reg:squarederror"}
# Measured after each round on the validation set; when it stops getting better, so does training.
STOPS_BY = {BINARY: "logloss", MULTICLASS: "mlogloss", REGRESSION: "rmse"}


@dataclass(frozen=True)
class Hosts:
    """The machines of a job by name, the first of which keeps the others together, and this one's place among them."""

    names: tuple[str, ...]
    place: int

    @property
    def first(self) -> bool:
        return self.place == 0


def whole(least: int) -> Callable[[str], int]:
    """Give a reader of whole numbers from `least` on."""

    def read(word: str) -> int:
        try:
            number = int(word)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"{word!r} must be a whole number from {least} on")
        return number

    return read


def real(least: float, most: float = float("inf"), open_below: bool = False) -> Callable[[str], float]:
    """Give a reader of numbers between two bounds, without the lower one when it is open."""

    def read(word: str) -> float:
        try:
            number = float(word)
        except ValueError:
            number = float("nan")
        if not (least < number if open_below else least <= number) or not number <= most or number == float("inf"):
            bounds = f"{'above' if open_below else 'from'} {least}" + (
                f" up to {most}" if most < float("inf") else " on"
            )
            raise argparse.ArgumentTypeError(f"{word!r} must be a number {bounds}")
        return number

    return read


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; folders default to those of a training job."""
    channels, model = base() / "input" / "data", base() / "model"
    share = real(0, 1, open_below=True)
    # Without abbreviations: a hyperparameter with a typing error is refused, not taken for another.
    parser = argparse.ArgumentParser(description="Train boosted trees.", allow_abbrev=False)
    parser.add_argument("--num_round", type=whole(1), default=300, help="trees at most (of each class)")
    parser.add_argument("--early_stopping_rounds", type=whole(0), default=20, help="rounds without gain; 0 never stops")
    parser.add_argument("--max_depth", type=whole(1), default=3, help="of a tree")
    parser.add_argument("--eta", type=share, default=0.1, help="how much a tree counts, above 0 and up to 1")
    parser.add_argument("--subsample", type=share, default=0.8, help="share of the rows that a tree sees")
    parser.add_argument("--colsample_bytree", type=share, default=0.8, help="share of the columns that a tree sees")
    parser.add_argument("--min_child_weight", type=real(0), default=1.0, help="weight that a leaf has at least")
    parser.add_argument("--reg_lambda", type=real(0), default=1.0, help="L2 regularization")
    parser.add_argument("--seed", type=whole(0), default=42, help="the same seed and data give the same model")
    parser.add_argument("--problem-type", default=BINARY, choices=tuple(OBJECTIVES))
    parser.add_argument("--target", default="target", help="column to predict")
    # AWS's own code for this image takes the same port. Hosts of a job don't start at the same moment.
    parser.add_argument("--tracker-port", type=whole(1), default=9099, help="on the first of several hosts")
    parser.add_argument("--patience", type=whole(1), default=300, help="seconds that hosts wait for one another")
    for name, folder, text in (
        ("train", os.environ.get("SM_CHANNEL_TRAIN", channels / "train"), "folder with train.csv"),
        ("validation", os.environ.get("SM_CHANNEL_VALIDATION", channels / "validation"), "folder with validation.csv"),
        ("model-dir", os.environ.get("SM_MODEL_DIR", model), "folder for the model"),
    ):
        parser.add_argument(f"--{name}", type=Path, default=Path(folder), help=text)
    return parser.parse_args(words)


def hosts() -> Hosts:
    """Read which machines the job has: from the environment that AWS's training toolkit makes, else from SageMaker's own file."""
    try:
        if "SM_HOSTS" in os.environ:
            names, current = json.loads(os.environ["SM_HOSTS"]), os.environ.get("SM_CURRENT_HOST")
        else:
            found = json.loads((base() / "input" / "config" / "resourceconfig.json").read_text())
            names, current = found["hosts"], found["current_host"]
    except FileNotFoundError:
        names, current = ["localhost"], "localhost"
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"The list of hosts can't be read ({error!r}): look at SM_HOSTS and SM_CURRENT_HOST") from error
    ordered = sorted(names)
    if current not in ordered:
        raise BadData(f"SM_CURRENT_HOST is {current!r}, which is none of {', '.join(ordered)}: mend it")
    return Hosts(tuple(ordered), ordered.index(current))


@contextlib.contextmanager
def together(machines: Hosts, port: int, patience: int) -> Iterator[None]:
    """Join the hosts for as long as the block lasts. The first runs the tracker, which the others look for by its name.

    https://xgboost.readthedocs.io/en/stable/python/python_api.html (collective, tracker)"""
    if len(machines.names) == 1:
        yield
        return
    address = resolved(machines.names[0], patience)
    with contextlib.ExitStack() as stack:
        try:
            if machines.first:
                # Ranks by task, so that each host has the same rank, and takes the same rows, in every run.
                tracker = RabitTracker(len(machines.names), host_ip=address, port=port, sortby="task", timeout=patience)
                tracker.start()
                stack.callback(ended, tracker)
            stack.enter_context(joined(machines, address, port, patience))
            yield
        except XGBoostError as error:
            raise BadData(
                f"The hosts {', '.join(machines.names)} lost one another ({last_line(error)}): look at the log of each, "
                f"and let them reach port {port} of {machines.names[0]} and one another"
            ) from error


@contextlib.contextmanager
def joined(machines: Hosts, address: str, port: int, patience: int) -> Iterator[None]:
    """Join the others. The tracker may start later than this host, and takes no other calls: joining is what is tried again."""
    until = time.monotonic() + patience
    while not collective.is_distributed():
        try:
            collective.init(
                dmlc_tracker_uri=address,
                dmlc_tracker_port=port,
                dmlc_task_id=f"{machines.place:04d}",
                dmlc_timeout=patience,
            )
        except XGBoostError:
            if time.monotonic() > until:
                raise
            time.sleep(1)
    yield
    # Not after an error: it would wait for hosts that may be gone.
    collective.finalize()


def ended(tracker: RabitTracker) -> None:
    """End the tracker. When hosts were lost it complains of them once more, and what counts was said already."""
    with contextlib.suppress(ValueError, XGBoostError):
        tracker.wait_for(timeout=5)
    with contextlib.suppress(XGBoostError):
        tracker.free()


def last_line(error: XGBoostError) -> str:
    """Give what an error of XGBoost says before its own call stack."""
    lines = [line.strip("- ") for line in str(error).split("Stack trace")[0].splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def resolved(name: str, patience: int) -> str:
    """Give the address of a host, which may not be known at once."""
    until = time.monotonic() + patience
    while True:
        try:
            return socket.gethostbyname(name)
        except OSError as error:
            if time.monotonic() > until:
                raise BadData(
                    f"The host {name} is not known after {patience} s ({error}): run the job again"
                ) from error
            time.sleep(1)


def fit(data: Data, asked: argparse.Namespace) -> xgboost.Booster:
    """Train, on several hosts each with its share of the rows; all of them end with the same model."""
    rank, size = collective.get_rank(), collective.get_world_size()
    sets = {
        name: xgboost.DMatrix(rows.features[rank::size], label=rows.answers[rank::size])
        for name, rows in data.sets.items()
    }
    settings = {name: getattr(asked, name) for name in ("max_depth", "eta", "subsample", "colsample_bytree", "seed")}
    settings |= {"min_child_weight": asked.min_child_weight, "reg_lambda": asked.reg_lambda, "tree_method": "hist"}
    settings |= {"objective": OBJECTIVES[asked.problem_type], "eval_metric": STOPS_BY[asked.problem_type]}
    if asked.problem_type == MULTICLASS:
        settings["num_class"] = len(data.classes or ())
    booster = xgboost.train(
        settings,
        sets["train"],
        num_boost_round=asked.num_round,
        evals=[(sets["validation"], "validation")],
        early_stopping_rounds=asked.early_stopping_rounds or None,
        verbose_eval=False,
    )
    return booster[: booster.best_iteration + 1] if asked.early_stopping_rounds else booster


def predicted(model: xgboost.Booster, rows: Set, problem_type: str) -> np.ndarray:
    """Give the probability of each class, of shape (rows, classes); of a regression the numbers, of shape (rows,)."""
    found = model.predict(xgboost.DMatrix(rows.features)).astype("float64")
    return np.column_stack([1 - found, found]) if problem_type == BINARY else found


def save(model: xgboost.Booster, card: dict[str, Any], folder: Path) -> None:
    """Write the model, in XGBoost's own format which its later versions read, and its card. Both are what inference.py reads."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_model(folder / "model.ubj")
    (folder / "model_card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def main(words: Sequence[str] | None = None) -> None:
    """Read, train, measure and write. Ends the process with a message when the data can't be used."""
    asked = arguments(words)
    try:
        machines = hosts()
        data = load({"train": asked.train, "validation": asked.validation}, asked.problem_type, asked.target)
        if min(len(rows.answers) for rows in data.sets.values()) < len(machines.names):
            raise BadData("There are fewer rows in a set than hosts in the job: set train_config.instance_count to 1")
        with together(machines, asked.tracker_port, asked.patience):
            model = fit(data, asked)
    except BadData as error:
        tell(str(error))
        sys.exit(f"train: {error}")
    if len(machines.names) > 1:
        print(
            f"host {machines.names[machines.place]}: model sha256 {hashlib.sha256(model.save_raw('ubj')).hexdigest()}"
        )
    if not machines.first:
        print(f"The model is written by {machines.names[0]}: what all hosts wrote would overwrite one another.")
        return
    found = {name: (rows.answers, predicted(model, rows, asked.problem_type)) for name, rows in data.sets.items()}
    measured = measure(found, asked.problem_type)
    card = {
        "problem_type": asked.problem_type,
        "target": asked.target,
        "features": data.features,
        "classes": data.classes,
        "trained_with": {"xgboost": xgboost.__version__},
    }
    save(model, card, asked.model_dir)
    print(f"{len(data.sets['train'].answers)} rows, {len(data.features)} features: the model is in {asked.model_dir}.")
    log({name: value for name, value in vars(asked).items() if not isinstance(value, Path)}, measured, card)


if __name__ == "__main__":
    main()
