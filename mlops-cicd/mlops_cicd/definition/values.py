"""Expressions of a pipeline definition: what SageMaker Pipelines fills in when the pipeline runs.

Key names are those of the published schema and of the SDK's request builders:
https://github.com/aws-sagemaker-mlops/sagemaker-model-building-pipeline-definition-JSON-schema"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

EXECUTION_ID: Json = {"Get": "Execution.PipelineExecutionId"}


def join(*values: str | Json, on: str = "") -> Json:
    """Join texts and expressions to one text."""
    return {"Std:Join": {"On": on, "Values": list(values)}}


def parameter(name: str) -> Json:
    """Take a parameter of the pipeline."""
    return {"Get": f"Parameters.{name}"}


def of_step(step: str, path: str) -> Json:
    """Take what the describe call of a step's job answers. The step that uses it waits for this one."""
    return {"Get": f"Steps.{step}.{path}"}


def output_of(step: str, output: str) -> Json:
    """Take the S3 prefix that an output of a processing step went to."""
    return of_step(step, f"ProcessingOutputConfig.Outputs['{output}'].S3Output.S3Uri")


def json_get(step: str, property_file: str, path: str) -> Json:
    """Take a value out of a JSON file that a processing step wrote and declared as a property file."""
    return {"Std:JsonGet": {"PropertyFile": of_step(step, f"PropertyFiles.{property_file}"), "Path": path}}


def property_file(name: str, output: str, file: str) -> Json:
    """Declare a file of an output as one that json_get may read."""
    return {"PropertyFileName": name, "OutputName": output, "FilePath": file}
