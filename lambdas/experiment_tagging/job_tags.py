"""Find out whose a SageMaker job is and add the tags that it lacks.

A job is the platform's own when its role lies under the IAM path /mlops/{project}/; the path says the project, the tags
of the role say the rest. A tag that somebody set is neither changed nor removed. AddTags overwrites and cannot be made
conditional, so a value set in the moment between reading and adding would be lost; nothing in the API prevents that.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

COST_CENTER, PROJECT, USER, OWNER = "CostCenter", "mlops:project", "mlops:user", "mlops:owner"
PROFILE = "sagemaker:user-profile-arn"  # SageMaker sets it on what is started from Studio
PROJECT_KEYS = (COST_CENTER, PROJECT, "sagemaker:project-name", "sagemaker:project-id")
PRIORITY = (COST_CENTER, PROJECT, USER, *PROJECT_KEYS[2:])  # when there is not room for all
PLATFORM = "platform"  # /mlops/platform/ is the platform itself, no project
MOST_TAGS = 50  # on a resource; tags of AWS (aws:) do not count
CACHE_SECONDS, CACHE_ROLES = 300.0, 256
DESCRIBE = {
    "TrainingJob": "describe_training_job",
    "ProcessingJob": "describe_processing_job",
    "TransformJob": "describe_transform_job",
    "HyperParameterTuningJob": "describe_hyper_parameter_tuning_job",
}
# The project part follows the rule for project names, so that a foreign path never becomes a tag value.
ROLE = re.compile(
    r"arn:(?P<partition>[a-z-]+):iam::(?P<account>\d{12}):role/mlops/"
    r"(?=[^/]{1,32}/)(?P<project>[a-z][a-z0-9]*(?:-[a-z0-9]+)*)/(?:[!-~]+/)?(?P<name>[\w+=,.@-]{1,64})",
    re.ASCII,
)
PROFILE_ARN = re.compile(
    r"(?P<place>arn:[a-z-]+:sagemaker:[a-z0-9-]+:\d{12}):user-profile/[^/]+/(?P<name>[a-zA-Z0-9-]{1,63})", re.ASCII
)
# SageMaker says ValidationException where its documentation says ResourceNotFound (github.com/aws/aws-sdk/issues/165).
GONE = ("ValidationException", "ResourceNotFound", "ResourceNotFoundException", "NoSuchEntity")


class UnknownJob(Exception):
    """SageMaker answered, but without a role or model to go by."""

    def __init__(self, arn: str) -> None:
        super().__init__(f"{arn} has neither role nor model: see what its Describe call answers.")


class _Gone(Exception):
    """The job, or something that it refers to, exists no more."""


@dataclass(frozen=True)
class Job:
    """A job as the event tells of it. `kind` is the word in its API, such as `TrainingJob`."""

    kind: str
    arn: str
    name: str
    roles: tuple[str, ...] = ()
    model: str = ""


@dataclass(frozen=True)
class Decision:
    """`name`: tagged, complete, incomplete, ignored, gone (or, from the handler, malformed, failed)."""

    name: str
    added: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


def roles_in(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Collect role ARNs from an event's detail or a Describe answer, which have the same shape."""
    several = facts.get("TrainingJobDefinitions")
    places = [facts, facts.get("TrainingJobDefinition"), *(several if isinstance(several, list) else [])]
    roles = [place.get("RoleArn") for place in places if isinstance(place, Mapping)]
    return tuple(dict.fromkeys(role for role in roles if isinstance(role, str) and role))


class Tagger:
    """Completes tags. Role tags are kept for a short time while the container is warm."""

    def __init__(self, sagemaker: Any, iam: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._sagemaker = sagemaker
        self._iam = iam
        self._clock = clock
        self._cache: dict[str, tuple[float, dict[str, str]]] = {}

    def complete(self, job: Job, region: str, account: str) -> Decision:
        """Add the missing tags. `region` and `account` are this function's own: other accounts forward their events."""
        _, partition, _, job_region, job_account, _ = job.arn.split(":", 5)
        if (job_region, job_account) != (region, account):
            return Decision("ignored", reason=f"The job is of account {job_account}, {job_region}.")
        try:
            roles = job.roles or self._roles(job)
            role = _own_role(roles, partition, account)
            if role is None:
                return Decision("ignored", reason=f"Not roles of one project: {', '.join(roles)}")
            present = self._tags(job.arn)
            wanted, notes = self._wanted(role, present)
            if role["project"] != PLATFORM and USER not in present and PROFILE in present:
                user, note = self._user(job, present[PROFILE])
                wanted |= {USER: user} if user else {}
                notes += [note] if note else []
            added = self._add(job, present, wanted, notes)
        except _Gone as error:
            return Decision("gone", reason=str(error))
        return Decision("tagged" if added else "incomplete" if notes else "complete", added, " ".join(notes))

    def _roles(self, job: Job) -> tuple[str, ...]:
        """Ask SageMaker for the roles; a transform job has one through its model alone."""
        model = job.model
        if not model:
            with _existing(job.arn):
                facts = getattr(self._sagemaker, DESCRIBE[job.kind])(**{f"{job.kind}Name": job.name})
            if roles := roles_in(facts):
                return roles
            model = facts.get("ModelName", "")
        if not model:
            raise UnknownJob(job.arn)
        with _existing(f"Model {model}"):
            return roles_in({"RoleArn": self._sagemaker.describe_model(ModelName=model).get("ExecutionRoleArn")})

    def _wanted(self, role: re.Match[str], present: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
        """Give what the role says about the missing tags, and notes on what it does not say."""
        keys = PROJECT_KEYS if role["project"] != PLATFORM else (COST_CENTER,)
        missing = [key for key in keys if key not in present]
        facts, notes = {PROJECT: role["project"]}, []
        if set(missing) - {PROJECT}:
            try:
                facts = self._role_tags(role) | facts
            except _Gone as error:
                notes.append(str(error))
        wanted = {key: facts[key] for key in missing if facts.get(key)}
        if unknown := [key for key in missing if key not in wanted]:
            notes.append(f"Role {role['name']} tells no {', '.join(unknown)}.")
        return wanted, notes

    def _user(self, job: Job, profile: str) -> tuple[str, str]:
        """Give the owner of a profile, or its name, and a note. No proof: who starts a job may write its tags."""
        match = PROFILE_ARN.fullmatch(profile)
        if match is None or match["place"] != ":".join(job.arn.split(":")[:5]):
            return "", f"No profile of this account: {profile}."
        try:
            return self._tags(profile).get(OWNER) or match["name"], ""
        except _Gone as error:
            return match["name"], str(error)

    def _add(self, job: Job, present: Mapping[str, str], wanted: dict[str, str], notes: list[str]) -> dict[str, str]:
        free = max(0, MOST_TAGS - sum(not key.startswith("aws:") for key in present))
        added = {key: wanted[key] for key in [key for key in PRIORITY if key in wanted][:free]}
        if left_out := [key for key in wanted if key not in added]:
            notes.append(f"No room under {MOST_TAGS} tags for {', '.join(left_out)}.")
        if added:
            tags = [{"Key": key, "Value": value} for key, value in added.items()]
            try:
                self._sagemaker.add_tags(ResourceArn=job.arn, Tags=tags)
            except ClientError as error:
                # Either the job went away just now, which reading its tags again tells, or SageMaker refuses the tags.
                if _code(error) in GONE:
                    self._tags(job.arn)
                raise
        return added

    def _tags(self, arn: str) -> dict[str, str]:
        with _existing(arn):
            pages = self._sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
            return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def _role_tags(self, role: re.Match[str]) -> dict[str, str]:
        """Read a role's tags, at most once in CACHE_SECONDS; a role that is gone is asked for again."""
        until, tags = self._cache.get(role[0], (0.0, {}))
        if self._clock() < until:
            return tags
        with _existing(f"Role {role['name']}"):
            pages = self._iam.get_paginator("list_role_tags").paginate(RoleName=role["name"])
            tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
        if len(self._cache) >= CACHE_ROLES:
            self._cache.clear()
        self._cache[role[0]] = (self._clock() + CACHE_SECONDS, tags)
        return tags


def _own_role(roles: tuple[str, ...], partition: str, account: str) -> re.Match[str] | None:
    """Give the first role, when all are of one project of this account."""
    found = [match for role in roles if (match := ROLE.fullmatch(role))]
    own = [match for match in found if (match["partition"], match["account"]) == (partition, account)]
    one = own and len(own) == len(roles) and len({match["project"] for match in own}) == 1
    return own[0] if one else None


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


@contextmanager
def _existing(what: str) -> Iterator[None]:
    """Raise _Gone when what is asked for exists no more, and every other error as it is."""
    try:
        yield
    except ClientError as error:
        if _code(error) in GONE:
            raise _Gone(f"{what} is gone.") from error
        raise
