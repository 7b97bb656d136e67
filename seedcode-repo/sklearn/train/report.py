"""Measure a model, and say what became of the training: in the log, in MLflow, and in the job's description."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from sets import BINARY, REGRESSION
from sklearn import metrics


def measure(sets: dict[str, tuple[np.ndarray, np.ndarray]], problem_type: str) -> dict[str, float]:
    """Measure what was answered and what was found, by set, and print it: one metric a line, as metric_definitions read it."""
    measured = {
        f"{name}:{metric}": value
        for name, (answers, found) in sets.items()
        for metric, value in scores(answers, found, problem_type).items()
    }
    for name, value in measured.items():
        print(f"{name}={value:.6f}")
    return measured


def scores(answers: np.ndarray, found: np.ndarray, problem_type: str) -> dict[str, float]:
    """Measure a model by the metrics that a quality gate can name."""
    if problem_type == REGRESSION:
        mse = metrics.mean_squared_error(answers, found)
        return {
            "mae": float(metrics.mean_absolute_error(answers, found)),
            "mse": float(mse),
            "rmse": float(mse**0.5),
            "r2": float(metrics.r2_score(answers, found)),
        }
    labels = found.argmax(axis=1)
    average, prefix = ("binary", "") if problem_type == BINARY else ("weighted", "weighted_")
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        answers, labels, average=average, zero_division=0
    )
    measured = {
        "accuracy": float(metrics.accuracy_score(answers, labels)),
        f"{prefix}precision": float(precision),
        f"{prefix}recall": float(recall),
        f"{prefix}f1": float(f1),
    }
    # Without both classes there is no curve; preprocessing puts each class into each set.
    if problem_type == BINARY and len(np.unique(answers)) == 2:
        measured["auc"] = float(metrics.roc_auc_score(answers, found[:, 1]))
    return measured


def log(parameters: dict[str, Any], measured: dict[str, float], card: dict[str, Any]) -> None:
    """Log the run to MLflow when the environment names a server. What keeps it from that is said, and costs no model."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return
    # Where the server can't be reached, MLflow's own patience would last for minutes.
    for name, value in (("MLFLOW_HTTP_REQUEST_TIMEOUT", "10"), ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")):
        os.environ.setdefault(name, value)
    try:
        import mlflow
    except ImportError:
        print(
            "The run is not logged: MLFLOW_TRACKING_URI is set and mlflow is not in this image. Name mlflow and sagemaker-mlflow "
            "in a requirements.txt, and that file as train_config.dependencies."
        )
        return
    try:
        with mlflow.start_run(run_name=os.environ.get("TRAINING_JOB_NAME")):
            mlflow.log_params(parameters)
            mlflow.log_metrics({name.replace(":", "_"): value for name, value in measured.items()})
            mlflow.log_dict(card, "model_card.json")
    except Exception as error:
        print(
            f"The run is not logged: MLflow said {error}. The model is kept; check MLFLOW_TRACKING_URI and the network."
        )


def tell(message: str) -> None:
    """Have the job's description say why it failed, besides its log. On a laptop there is no such place."""
    if base().is_dir():
        # The first kilobyte of it is the job's FailureReason.
        (base() / "output").mkdir(exist_ok=True)
        (base() / "output" / "failure").write_text(message[:1000], encoding="utf-8")


def base() -> Path:
    """Give the folder in which SageMaker puts what a job reads and takes what it writes."""
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
