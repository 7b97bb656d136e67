"""Train a random forest on the sets that preprocessing wrote, and say how good it is on the validation set.

A SageMaker training job gives the sets as channels and takes what lies in the model's folder. On a laptop, name the folders:

    python train/train.py --train build/train --validation build/validation --model-dir build/model

Every hyperparameter of model_config.yaml is an option of the same name; one that is not there ends with a message. The same
data, options and seed give the same model. It needs what AWS's scikit-learn image holds, and nothing else."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
from report import base, log, measure, tell
from sets import BINARY, MULTICLASS, REGRESSION, BadData, Set, load
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor


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


def columns_tried(word: str) -> str | float:
    """Read how many columns a split may choose from: `sqrt`, `log2`, or a share of them."""
    if word in ("sqrt", "log2"):
        return word
    try:
        share = float(word)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{word!r} must be sqrt, log2, or a share above 0 and up to 1")
    return share


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; folders default to those of a training job."""
    channels, model = base() / "input" / "data", base() / "model"
    # Without abbreviations: a hyperparameter with a typing error is refused, not taken for another.
    parser = argparse.ArgumentParser(description="Train a random forest.", allow_abbrev=False)
    parser.add_argument("--n_estimators", type=whole(1), default=200, help="trees")
    parser.add_argument("--max_depth", type=whole(0), default=8, help="of a tree; 0 for no limit")
    parser.add_argument("--min_samples_leaf", type=whole(1), default=2, help="rows that a leaf has at least")
    parser.add_argument("--max_features", type=columns_tried, default="sqrt", help="columns a split may choose from")
    parser.add_argument("--seed", type=whole(0), default=42, help="the same seed and data give the same model")
    parser.add_argument("--problem-type", default=BINARY, choices=(BINARY, MULTICLASS, REGRESSION))
    parser.add_argument("--target", default="target", help="column to predict")
    for name, folder, text in (
        ("train", os.environ.get("SM_CHANNEL_TRAIN", channels / "train"), "folder with train.csv"),
        ("validation", os.environ.get("SM_CHANNEL_VALIDATION", channels / "validation"), "folder with validation.csv"),
        ("model-dir", os.environ.get("SM_MODEL_DIR", model), "folder for the model"),
    ):
        parser.add_argument(f"--{name}", type=Path, default=Path(folder), help=text)
    return parser.parse_args(words)


def fit(train: Set, asked: argparse.Namespace) -> Any:
    """Train the model. Put your own here; what `predicted` and inference.py ask of it are `predict` and `predict_proba`."""
    kind = RandomForestRegressor if asked.problem_type == REGRESSION else RandomForestClassifier
    model = kind(
        n_estimators=asked.n_estimators,
        max_depth=asked.max_depth or None,
        min_samples_leaf=asked.min_samples_leaf,
        max_features=asked.max_features,
        random_state=asked.seed,
        n_jobs=-1,
    ).fit(train.features, train.answers)
    # Serving asks for few rows at a time: threads would take longer to start than the trees take to answer.
    return model.set_params(n_jobs=1)


def predicted(model: Any, rows: Set, problem_type: str) -> np.ndarray:
    """Give the probability of each class, of shape (rows, classes); of a regression the numbers, of shape (rows,)."""
    return np.asarray(
        model.predict(rows.features) if problem_type == REGRESSION else model.predict_proba(rows.features)
    )


def save(model: Any, card: dict[str, Any], folder: Path) -> None:
    """Write the model and its card. Both are what inference.py reads."""
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib", compress=3)
    (folder / "model_card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def main(words: Sequence[str] | None = None) -> None:
    """Read, train, measure and write. Ends the process with a message when the data can't be used."""
    asked = arguments(words)
    try:
        data = load({"train": asked.train, "validation": asked.validation}, asked.problem_type, asked.target)
    except BadData as error:
        tell(str(error))
        sys.exit(f"train: {error}")
    model = fit(data.sets["train"], asked)
    found = {name: (rows.answers, predicted(model, rows, asked.problem_type)) for name, rows in data.sets.items()}
    measured = measure(found, asked.problem_type)
    card = {
        "problem_type": asked.problem_type,
        "target": asked.target,
        "features": data.features,
        "classes": data.classes,
        "trained_with": {"scikit-learn": sklearn.__version__},
    }
    save(model, card, asked.model_dir)
    print(f"{len(data.sets['train'].answers)} rows, {len(data.features)} features: the model is in {asked.model_dir}.")
    log({name: value for name, value in vars(asked).items() if not isinstance(value, Path)}, measured, card)


if __name__ == "__main__":
    main()
