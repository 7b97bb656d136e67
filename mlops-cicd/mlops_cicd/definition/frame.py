"""What every job of a project's pipeline has in common: names, tags, network, keys, places in the bucket, longest time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath

from mlops_cicd.config import ModelConfig
from mlops_cicd.definition.values import EXECUTION_ID, Json, join
from mlops_cicd.errors import CicdError
from mlops_cicd.images import has_local_storage
from mlops_cicd.project import Project

# What a job's name may begin with; SageMaker appends ids to it.
# https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-access.html#build-and-manage-step-permissions-prefix
LONGEST_PREFIX = 38
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProcessingStoppingCondition.html
LONGEST_PROCESSING_SECONDS = 777_600


class LimitError(CicdError):
    """The configuration asks for more than SageMaker takes."""


@dataclass(frozen=True)
class Code:
    """Where the code of the jobs lies: S3 URIs that end in a slash."""

    preprocess: str
    train: str
    inference: str
    steps: str

    def __post_init__(self) -> None:
        for name, uri in vars(self).items():
            if not (uri.startswith("s3://") and uri.endswith("/")):
                raise LimitError(f"The code for {name} is at {uri!r}. Give an S3 URI that ends in a slash.")


@dataclass(frozen=True)
class Images:
    """The images of the three purposes, each as AWS's URI or as the project's REPOSITORY@sha256:DIGEST."""

    preprocessing: str
    training: str
    inference: str


@dataclass(frozen=True)
class Frame:
    """One build of a pipeline: the configuration, the project that it is for, and where its code and images are."""

    config: ModelConfig
    project: Project
    code: Code
    images: Images

    @property
    def tags(self) -> list[Json]:
        """The tags of everything that is made."""
        return tags(self.project)

    @property
    def vpc(self) -> Json:
        """The network of jobs and models."""
        return {"SecurityGroupIds": [self.project.security_group], "Subnets": list(self.project.subnets)}

    @property
    def problem(self) -> list[str]:
        """The arguments that tell a script what is to be learnt."""
        return ["--problem-type", self.project.problem_type, "--target", self.config.data_config.target]

    def name(self, kind: str) -> str:
        """What names of this kind of job begin with. IAM lets a project make only PROJECT--*."""
        return f"{self.project.name}--{kind}"[:LONGEST_PREFIX]

    def place(self, *parts: str) -> Json:
        """An S3 prefix of this execution. No execution ever reads what another one wrote."""
        return join(f"s3://{self.project.bucket}/pipelines", EXECUTION_ID, *parts, on="/")

    def volume_key(self, instance_type: str) -> Json:
        """The key of a job's volume, for the instance types that have a volume to encrypt."""
        return {} if has_local_storage(instance_type) else {"VolumeKmsKeyId": self.project.kms_key_arn}


def tags(project: Project) -> list[Json]:
    """Return the tags of a project, as the API takes them."""
    values = {
        "mlops:project": project.name,
        "sagemaker:project-name": project.name,
        "sagemaker:project-id": project.project_id,
        "CostCenter": project.cost_center,
    }
    return [{"Key": key, "Value": value} for key, value in values.items()]


def file_of(entrypoint: str) -> str:
    """Return the name that a script has inside its folder."""
    return PurePosixPath(entrypoint).name


def as_text(value: object) -> str:
    """Write a scalar as the text that a job reads: JSON's spelling, and texts as they are."""
    return value if isinstance(value, str) else json.dumps(value)
