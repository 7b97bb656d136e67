"""What a job knows of its project: the settings that the project's stack keeps in Systems Manager as one JSON document."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mlops_cicd.errors import CicdError, shown

PROBLEM_TYPES = ("binary_classification", "multiclass_classification", "regression")
INFERENCE_TYPES = ("realtime", "batch")
PURPOSES = ("preprocessing", "training", "inference")
NONE = "none"
# SageMaker's longest run: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StoppingCondition.html
LONGEST_RUNTIME_SECONDS = 28 * 24 * 3600

_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-isof-", "aws-iso-f"), ("us-isob-", "aws-iso-b"),
               ("us-iso-", "aws-iso"), ("eu-isoe-", "aws-iso-e"), ("eusc-", "aws-eusc"))  # fmt: skip
_NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
_ARN = r"arn:aws[a-z-]*:{service}:[a-z0-9-]*:[0-9]{{12}}:{rest}"
_SHAPES = {
    "project_name": re.compile(rf"(?=.{{1,32}}$){_NAME}"),
    "project_id": re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,19}"),
    "region": re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]"),
    "account_id": re.compile(r"[0-9]{12}"),
    "project_role_arn": re.compile(_ARN.format(service="iam", rest=r"role/[\w+=,.@/-]+")),
    "project_kms": re.compile(_ARN.format(service="kms", rest=r"(key|alias)/[\w/-]+")),
    "project_bucket": re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
    "sg_compute": re.compile(r"sg-[0-9a-z]+"),
    "model_package_group": re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"),
    "cost_center": re.compile(r"[\w .:/=+@-]{1,256}"),
    "framework": re.compile(r"[a-z][a-z0-9_-]*"),
}
_SUBNET = re.compile(r"subnet-[0-9a-z]+")
_REPOSITORY = re.compile(r"[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.[a-z0-9.-]+/[a-z0-9]+([._/-][a-z0-9]+)*")
_TRACKING = re.compile(_ARN.format(service="sagemaker", rest=r"[\w/-]+"))

_MEND = (
    "The project's stack writes them to /mlops/projects/NAME/settings in Systems Manager; have the data science admin"
    " update the stack."
)


class ProjectError(CicdError):
    """The project's settings lack something or hold what can't be."""


@dataclass(frozen=True)
class Project:
    """One project, as its stack describes it."""

    name: str
    project_id: str
    problem_type: str
    inference_type: str
    framework: str
    region: str
    account_id: str
    role_arn: str
    kms_key_arn: str
    bucket: str
    subnets: tuple[str, ...]
    security_group: str
    model_package_group: str
    image_repositories: Mapping[str, str]
    tracking_arn: str | None
    max_runtime_seconds: int
    cost_center: str

    @property
    def pipeline_name(self) -> str:
        """The SageMaker pipeline's name."""
        return f"{self.name}-{self.project_id}"

    @property
    def partition(self) -> str:
        """The partition of the project's region, as it stands in an ARN."""
        return next((name for prefix, name in _PARTITIONS if self.region.startswith(prefix)), "aws")

    @staticmethod
    def from_text(text: str) -> Project:
        """Read the settings' JSON text, as a build has it in PROJECT_SETTINGS. Raises ProjectError."""
        try:
            document = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ProjectError(f"The project's settings are no JSON ({error}). {_MEND}") from error
        if not isinstance(document, dict):
            raise ProjectError(f"The project's settings are {shown(document)} and no JSON object. {_MEND}")
        return Project.from_settings(document)

    @staticmethod
    def from_settings(document: Mapping[str, str]) -> Project:
        """Read the document of /mlops/projects/NAME/settings. Raises ProjectError that names every key at fault."""
        problems: list[str] = []
        taken = _taken(document, problems)
        found = {key: taken(key, shape.fullmatch) for key, shape in _SHAPES.items()}
        problem_type = taken("problem_type", PROBLEM_TYPES.__contains__)
        inference_type = taken("inference_type", INFERENCE_TYPES.__contains__)
        subnets = tuple(each.strip() for each in taken("private_subnets", _are_subnets).split(","))
        repositories = {
            "preprocessing": taken("preprocessing_image", _REPOSITORY.fullmatch),
            "training": taken("training_image", _REPOSITORY.fullmatch),
            "inference": taken("inference_image", _REPOSITORY.fullmatch),
        }
        tracking = taken("tracking_arn", lambda text: text == NONE or _TRACKING.fullmatch(text))
        longest = taken("max_runtime_seconds", _is_runtime)
        if problems:
            raise ProjectError("The project's settings are wrong: " + "; ".join(problems) + f". {_MEND}")
        return Project(
            name=found["project_name"],
            project_id=found["project_id"],
            problem_type=problem_type,
            inference_type=inference_type,
            framework=found["framework"],
            region=found["region"],
            account_id=found["account_id"],
            role_arn=found["project_role_arn"],
            kms_key_arn=found["project_kms"],
            bucket=found["project_bucket"],
            subnets=subnets,
            security_group=found["sg_compute"],
            model_package_group=found["model_package_group"],
            image_repositories=repositories,
            tracking_arn=None if tracking == NONE else tracking,
            max_runtime_seconds=int(longest),
            cost_center=found["cost_center"],
        )


def _taken(document: Mapping[str, str], problems: list[str]) -> Callable[[str, Callable[[str], object]], str]:
    """Return what takes one key's text, and notes a problem when it isn't there or isn't of the shape."""

    def take(key: str, fits: Callable[[str], object]) -> str:
        value = document.get(key)
        if value is None:
            problems.append(f"{key} is missing")
        elif not isinstance(value, str):
            problems.append(f"{key} is {shown(value)}, which is no text")
        elif not fits(value):
            problems.append(f"{key} can't be {shown(value)}")
        else:
            return value
        return ""

    return take


def _are_subnets(text: str) -> bool:
    return all(_SUBNET.fullmatch(each.strip()) for each in text.split(","))


def _is_runtime(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,8}", text)) and 1 <= int(text) <= LONGEST_RUNTIME_SECONDS
