"""What the tests of the jobs and of the definition begin with: a project with its settings and its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

REGION, ACCOUNT = "eu-central-1", "111122223333"
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
SETTINGS = {
    "project_name": "churn",
    "project_id": "p-abc123",
    "cost_center": "4711",
    "problem_type": "binary_classification",
    "inference_type": "realtime",
    "framework": "sklearn",
    "region": REGION,
    "account_id": ACCOUNT,
    "project_role_arn": f"arn:aws:iam::{ACCOUNT}:role/mlops/churn/runs",
    "project_kms": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555",
    "project_bucket": "churn-p-abc123",
    "private_subnets": "subnet-0a1b2c3d,subnet-4e5f6a7b",
    "sg_compute": "sg-0a1b2c3d",
    "model_package_group": "churn-p-abc123",
    "preprocessing_image": f"{REGISTRY}/churn-p-abc123-preprocessing",
    "training_image": f"{REGISTRY}/churn-p-abc123-training",
    "inference_image": f"{REGISTRY}/churn-p-abc123-inference",
    "pypi_domain": "mlops",
    "pypi_repository": "pypi",
    "tracking_arn": "none",
    "max_runtime_seconds": "86400",
}
CONFIG: dict[str, Any] = {
    "version": 1,
    "preprocess_config": {
        "framework": "sklearn",
        "framework_version": "1.4-2-py312",
        "instance_type": "ml.t3.medium",
        "instance_count": 1,
        "entrypoint": "preprocess/preprocess.py",
    },
    "train_config": {
        "framework": "sklearn",
        "framework_version": "1.4-2-py312",
        "instance_type": "ml.m5.large",
        "instance_count": 1,
        "volume_size_gb": 10,
        "entrypoint": "train/train.py",
        "metric_definitions": [{"Name": "validation:auc", "Regex": "auc=([0-9.]+)"}],
        "hyperparameters": {"trees": 200, "rate": 0.1, "balanced": True, "loss": "log_loss"},
    },
    "inference_config": {
        "entrypoint": "inference/inference.py",
        "supported_input_types": ["text/csv", "application/json"],
        "supported_output_types": ["text/csv", "application/json"],
        "inference_instances": ["ml.m5.large"],
        "transform_instances": ["ml.m5.large"],
    },
    "data_config": {"target": "target", "datatype": "csv", "inputs": {"data": "data/"}},
    "quality_gate": {
        "binary_classification": {"metric": "auc", "comparison": "GreaterThanOrEqualTo", "threshold": 0.95},
        "multiclass_classification": {"metric": "weighted_f1", "comparison": "GreaterThan", "threshold": 0.9},
        "regression": {"metric": "rmse", "comparison": "LessThanOrEqualTo", "threshold": 60.0},
    },
    "bias_config": {"facets": []},
    "stages": {
        "staging": {"instance_type": "ml.m5.large", "instance_count": 1},
        "production": {"instance_type": "ml.m5.large", "instance_count": 2},
    },
    "monitor_config": {"schedule": "cron(0 6 * * ? *)", "thresholds": {"drift": 0.2}, "retrain": "never"},
}


def config_text(changes: dict[str, Any] | None = None) -> str:
    """Write a configuration file; `changes` has values by "section.key", and None takes a key away."""
    config = json.loads(json.dumps(CONFIG))
    for place, value in (changes or {}).items():
        *sections, key = place.split(".")
        section = config
        for name in sections:
            section = section[name]
        if value is None:
            del section[key]
        else:
            section[key] = value
    from io import StringIO

    stream = StringIO()
    YAML().dump(config, stream)
    return stream.getvalue()


def write_project(folder: Path, changes: dict[str, Any] | None = None, files: dict[str, str] | None = None) -> Path:
    """Write a project's repository into a folder."""
    wanted = {
        "model_config.yaml": config_text(changes),
        "preprocess/preprocess.py": "print('splitting')\n",
        "train/train.py": "print('training')\n",
        "inference/inference.py": "def model_fn(folder):\n    return folder\n",
        **(files or {}),
    }
    for name, text in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def environment(folder: Path, settings: dict[str, str] | None = None, **more: str) -> dict[str, str]:
    """Return the environment of a job's build."""
    return {
        "PATH": "/usr/bin:/bin",
        "PROJECT_SETTINGS": json.dumps({**SETTINGS, **(settings or {})}),
        "CODEBUILD_SRC_DIR_PipeSource": str(folder),
        "COMMIT": "0123456789abcdef0123456789abcdef01234567",
        "EXECUTION_ID": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "PYPI_DOMAIN": "mlops",
        "PYPI_REPOSITORY": "pypi",
        **more,
    }
