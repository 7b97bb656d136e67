"""Put the steps together, and hold what the configuration says to SageMaker's limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

from mlops_cicd.config import ModelConfig
from mlops_cicd.definition.deciding import quality_gate
from mlops_cicd.definition.frame import Code, Frame, Images, LimitError
from mlops_cicd.definition.processing import baseline, evaluate, preprocess
from mlops_cicd.definition.training import model, train, transform
from mlops_cicd.definition.values import Json
from mlops_cicd.project import Project

VERSION = "2020-12-01"
STEPS = ("Preprocess", "Train", "Evaluate", "Baseline", "QualityGate", "Register", "GateNotMet")
BATCH_STEPS = ("Preprocess", "Train", "Model", "Transform", *STEPS[2:])
# In characters; what the configuration's own check can't see, since these are written from it.
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AppSpecification.html
LONGEST_ARGUMENT = 256
_KEYS = {"--facets": "bias_config.facets", "--target": "data_config.target"}


def build(config: ModelConfig, project: Project, code: Code, images: Images, commit: str) -> Json:
    """Build the definition. Raises LimitError with everything that SageMaker would refuse in it."""
    frame = Frame(config, project, code, images)
    batch = [model(frame), transform(frame)] if project.inference_type == "batch" else []
    definition = {
        "Version": VERSION,
        "Metadata": {},
        "Parameters": [{"Name": "Commit", "Type": "String", "DefaultValue": commit}],
        "Steps": [preprocess(frame), train(frame), *batch, evaluate(frame), baseline(frame), quality_gate(frame)],
    }
    problems = list(_beyond_limits(definition, commit))
    if problems:
        raise LimitError("\n".join(problems))
    return definition


def render(definition: Json) -> str:
    """Write a definition as text, the same bytes for the same definition."""
    return json.dumps(definition, indent=1, ensure_ascii=True) + "\n"


def _beyond_limits(definition: Json, commit: str) -> Iterator[str]:
    if not commit.strip():
        yield "The commit is empty. Give the commit that is built."
    for step in definition["Steps"]:
        arguments = step["Arguments"].get("AppSpecification", {}).get("ContainerArguments", [])
        for name, value in pairwise(arguments):
            if len(value) > LONGEST_ARGUMENT:
                yield (
                    f"{_KEYS.get(name, name)}: it makes an argument of {len(value)} characters for {step['Name']}, and SageMaker"
                    f" takes {LONGEST_ARGUMENT}. Name fewer or shorter ones."
                )
