"""Small pipelines, and a place to play them in, for the tests of the local executor."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_cicd.local import Execution, FolderRegistry, FolderStore, Image, Job, Place, run

PYTHON = Path(sys.executable)
HELD = Image(purpose="training", packages={"pytest": "1.2.3"})


@dataclass(frozen=True)
class Facts:
    pipeline_name: str = "churn-p1"
    region: str = "eu-central-1"
    account_id: str = "111122223333"
    partition: str = "aws"


@dataclass
class Bench:
    """A place with everything that was said and reported while it was used."""

    root: Path
    mode: Any = "auto"
    image: Image = field(default_factory=lambda: HELD)
    said: list[str] = field(default_factory=list)
    reported: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.root / "s3")

    @property
    def registry(self) -> FolderRegistry:
        return FolderRegistry(self.root / "registry", "eu-central-1", "111122223333")

    @property
    def place(self) -> Place:
        return Place(self.root / "runs", self.store, self.registry, PYTHON, lambda uri: self.image, mode=self.mode)

    def put(self, uri: str, content: str | bytes) -> str:
        path = self.store.path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return uri

    def read(self, uri: str) -> str:
        return self.store.path(uri).read_text()

    def run(self, definition: Mapping[str, Any], **options: Any) -> Execution:
        def on_step(name: str, kind: str, status: str, seconds: float, detail: str) -> None:
            self.reported.append((name, status, detail))

        return run(definition, self.place, Facts(), on_step=on_step, say=self.said.append, **options)

    def job(self, name: str = "churn--job", **options: Any) -> Job:
        folder = self.root / "jobs" / name
        place: dict[str, Any] = {
            "store": self.store,
            "python": PYTHON,
            "region": "eu-central-1",
            "image_of": lambda uri: self.image,
        }
        return Job(name=name, folder=folder, mode=self.mode, say=self.said.append, **(place | options))


def pipeline(*steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"Version": "2020-12-01", "Steps": list(steps), **more}


def processing(name: str, **more: Any) -> dict[str, Any]:
    """A processing step that runs s3://b/code/<name>.py and has one output, `out`."""
    return {"Name": name, "Type": "Processing", "Arguments": processing_request(name), **more}


def processing_request(name: str) -> dict[str, Any]:
    code = {"S3Uri": f"s3://b/code/{name}.py", "LocalPath": "/opt/ml/processing/input/code", "S3DataType": "S3Prefix"}
    out = {"S3Uri": f"s3://b/out/{name}", "LocalPath": "/opt/ml/processing/output/out", "S3UploadMode": "EndOfJob"}
    return {
        "AppSpecification": {
            "ImageUri": "registry/image:1",
            "ContainerEntrypoint": ["python3", f"/opt/ml/processing/input/code/{name}.py"],
        },
        "ProcessingInputs": [{"InputName": "code", "S3Input": code | {"S3InputMode": "File"}}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": out}]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 5}
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "RoleArn": "arn:aws:iam::111122223333:role/churn",
    }


def training_request(**more: Any) -> dict[str, Any]:
    """A training job that runs s3://b/code/train.py from the channel `code`."""
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/code/train.py", "S3DataDistributionType": "FullyReplicated"}
    return {
        "AlgorithmSpecification": {
            "TrainingImage": "registry/image:1",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/train.py"],
        },
        "InputDataConfig": [{"ChannelName": "code", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": "s3://b/models"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "RoleArn": "arn:aws:iam::111122223333:role/churn",
        **more,
    }


# What a job's script begins with, to find /opt/ml in both modes.
BASE = "import os, pathlib\nbase = pathlib.Path(os.environ.get('SAGEMAKER_BASE_DIR', '/opt/ml'))\n"
OUT = BASE + "out = base / 'processing/output/out'\n"

INFERENCE = """
import json, pathlib
def model_fn(folder):
    return json.loads((pathlib.Path(folder) / "model.json").read_text())
def input_fn(body, content_type):
    if content_type != "text/csv":
        raise ValueError(f"{content_type} is not read. Send text/csv.")
    rows = [line.split(",") for line in body.splitlines()]
    try:
        return [[float(cell) for cell in row] for row in rows]
    except ValueError:
        raise ValueError("The first line is text. Send rows without a header.") from None
def predict_fn(data, model):
    return [sum(row) * model["factor"] for row in data]
def output_fn(prediction, accept):
    return "\\n".join(map(str, prediction)) + "\\n", accept
"""
