"""The processing steps: Preprocess, Evaluate and Baseline."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mlops_cicd.definition.frame import LONGEST_PROCESSING_SECONDS, Frame, file_of
from mlops_cicd.definition.values import Json, of_step, output_of, property_file

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"
SPLITS = ("train", "validation", "test", "batch", "metadata")
REPORT = "EvaluationReport"
REPORT_FILE = "evaluation.json"
SAMPLE = "sample"


def preprocess(frame: Frame) -> Json:
    """Split the data. The only step whose image and machines `preprocess_config` chooses, and that may run on several."""
    config = frame.config.preprocess_config
    interpreter = "smspark-submit" if config.framework == "pyspark" else "python3"
    inputs = [_input("code", frame.code.preprocess)]
    data = frame.config.data_config.inputs.data
    if data != SAMPLE:
        inputs.append(_input("data", data_uri(frame.project.bucket, data)))
    return _step(
        frame,
        "Preprocess",
        "prep",
        image=frame.images.preprocessing,
        entrypoint=[interpreter, f"{INPUT}/code/{file_of(config.entrypoint)}"],
        arguments=frame.problem,
        inputs=inputs,
        outputs=SPLITS,
        instance_count=config.instance_count,
    )


def evaluate(frame: Frame) -> Json:
    """Measure the model on the test set, through the same functions that will serve it."""
    inputs = [_model(), _input("test", output_of("Preprocess", "test")), _input("steps", frame.code.steps)]
    if frame.project.inference_type == "batch":
        inputs.append(_input("predictions", of_step("Transform", "TransformOutput.S3OutputPath")))
    step = _step(
        frame,
        "Evaluate",
        "eval",
        image=frame.images.inference,
        entrypoint=["python3", f"{INPUT}/steps/evaluate.py"],
        arguments=[*frame.problem, "--program", file_of(frame.config.inference_config.entrypoint)],
        inputs=inputs,
        outputs=["evaluation"],
    )
    return {**step, "PropertyFiles": [property_file(REPORT, "evaluation", REPORT_FILE)]}


def baseline(frame: Frame) -> Json:
    """Describe the training data and the model, for drift, bias and explanations later."""
    facets = [
        {"name": facet.name, "values_or_threshold": list(facet.values_or_threshold)}
        for facet in frame.config.bias_config.facets
    ]
    return _step(
        frame,
        "Baseline",
        "base",
        image=frame.images.inference,
        entrypoint=["python3", f"{INPUT}/steps/baseline.py"],
        arguments=[
            *frame.problem,
            "--program",
            file_of(frame.config.inference_config.entrypoint),
            "--facets",
            json.dumps(facets, separators=(",", ":")),
        ],
        inputs=[
            _model(),
            _input("train", output_of("Preprocess", "train")),
            _input("test", output_of("Preprocess", "test")),
            _input("steps", frame.code.steps),
        ],
        outputs=["baseline", "bias", "explainability"],
    )


def data_uri(bucket: str, data: str) -> str:
    """Return where `data_config.inputs.data` points: company data by its URI, else a prefix of the project's bucket."""
    return data if data.startswith("s3://") else f"s3://{bucket}/{data}"


def _step(
    frame: Frame,
    name: str,
    kind: str,
    *,
    image: str,
    entrypoint: Sequence[str],
    arguments: Sequence[str],
    inputs: Sequence[Json],
    outputs: Sequence[str],
    instance_count: int = 1,
) -> Json:
    # Evaluate and Baseline read what Preprocess wrote, so they run on the same kind of machine.
    config = frame.config.preprocess_config
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "ProcessingJobName": frame.name(kind),
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceType": config.instance_type,
                    "InstanceCount": instance_count,
                    "VolumeSizeInGB": config.volume_size_gb,
                    **frame.volume_key(config.instance_type),
                }
            },
            "AppSpecification": {
                "ImageUri": image,
                "ContainerEntrypoint": list(entrypoint),
                "ContainerArguments": list(arguments),
            },
            "RoleArn": frame.project.role_arn,
            "ProcessingInputs": list(inputs),
            "ProcessingOutputConfig": {
                "Outputs": [_output(output, frame.place(name.lower(), output)) for output in outputs],
                "KmsKeyId": frame.project.kms_key_arn,
            },
            "NetworkConfig": {"VpcConfig": frame.vpc},
            "StoppingCondition": {
                "MaxRuntimeInSeconds": min(frame.project.max_runtime_seconds, LONGEST_PROCESSING_SECONDS)
            },
            "Tags": frame.tags,
        },
    }


def _model() -> Json:
    return _input("model", of_step("Train", "ModelArtifacts.S3ModelArtifacts"))


def _input(name: str, uri: str | Json) -> Json:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{INPUT}/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
            "S3CompressionType": "None",
        },
    }


def _output(name: str, uri: Json) -> Json:
    return {
        "OutputName": name,
        "S3Output": {"S3Uri": uri, "LocalPath": f"{OUTPUT}/{name}", "S3UploadMode": "EndOfJob"},
    }
