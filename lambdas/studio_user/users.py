"""Find out whether a person can have a profile in a project: the project lives, and the name is free in the domain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from custom_resource import Answer, Request
from names import DOMAIN, BadProperty, Refused, digest, owner, profile_name, project_name

OWNER, PROJECT_TAG = "mlops:owner", "mlops:project"
# Some resources carry the tags of their stack, and then a repeated Create knows its own profile by them.
STACK_TAG = "aws:cloudformation:stack-id"
PAGE = {"PageSize": 100}  # the most that the lists take; without it, ten
# SageMaker says ValidationException in places where its model says ResourceNotFound (github.com/aws/aws-sdk/issues/165).
NOT_FOUND = ("ResourceNotFound", "ResourceNotFoundException")
SAYS_NOT_FOUND = ("recordnotfound", "does not exist", "not found", "has already been deleted", "automatically deleted")


class NoDomain(Refused):
    """The Studio domain does not exist, or no more."""

    def __init__(self, domain: str) -> None:
        super().__init__(f"There is no Studio domain {domain}: launch this where the platform's base stack stands.")


class NoProject(Refused):
    """No project of this name lives."""

    def __init__(self, project: str) -> None:
        super().__init__(
            f"There is no project {project}. Set ProjectName to one that stands, or create the project first."
        )


class BadSettings(Refused):
    """The settings of a project cannot be read."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"The parameter {name} is no settings document ({why}): update the project, which writes it anew."
        )


class NameTaken(Refused):
    """Another profile of the domain has the name."""

    def __init__(self, name: str, who: str, mend: str) -> None:
        super().__init__(f"The name {name} is taken: {who}. {mend}")


class Renamed(Refused):
    """An update asks for another person, project or alias."""

    def __init__(self, now: str, asked: str) -> None:
        super().__init__(f"This user is {now}, not {asked}. A profile can't get another person, project or alias, which would "
                         "replace it and delete its spaces: keep the first values, or delete this user and launch a "
                         "new one.")  # fmt: skip


class DomainGone(Exception):
    """A call failed since the domain exists no more; for what is being deleted that is good news."""


@dataclass(frozen=True)
class Project:
    """What the settings of a project tell."""

    name: str
    id: str
    role_arn: str


@dataclass(frozen=True)
class Profile:
    """A profile as it stands."""

    name: str
    role_arn: str  # empty when it uses the domain's own
    status: str
    tags: Mapping[str, str]


class SpaceTooLarge(Refused):
    """A new space would be larger than any space may be."""

    def __init__(self, size: str, most: str) -> None:
        super().__init__(
            f"SpaceSizeInGb is {size}, and 1-infra allows {most}: ask for less, or have MaxSpaceSizeInGb raised."
        )


def create(sagemaker: Any, ssm: Any, request: Request, stack_id: str) -> Answer:
    """Give the name, owner and role of a profile that can be made. Raises Refused."""
    asked, name = _asked(request.properties)
    project = living(ssm, asked["ProjectName"])
    _check_free(sagemaker, asked["DomainId"], name, asked["UserEmail"], stack_id)
    return _answer(asked, name, project)


def update(ssm: Any, request: Request) -> Answer:
    """Repeat the answer of Create; what would give another is refused. Raises Refused.

    What was answered is remembered in the physical id and not looked up in the old properties: when CloudFormation
    takes back an update that was refused, the refused values are the old ones.
    """
    asked, name = _asked(request.properties)
    if _own_id(asked, name) != request.physical_id:
        now = request.physical_id.split("/")[1] if request.physical_id.count("/") == 2 else request.physical_id
        raise Renamed(now, name if name != now else f"{name} of {asked['UserEmail']} in {asked['DomainId']}")
    return _answer(asked, name, living(ssm, asked["ProjectName"]))


def domain_id(properties: Mapping[str, Any]) -> str:
    """Read the id of the domain. Raises BadProperty."""
    domain = text(properties, "DomainId")
    if not DOMAIN.fullmatch(domain):
        raise BadProperty("DomainId", "the id of a Studio domain, such as d-abc123")
    return domain


def text(properties: Mapping[str, Any], name: str) -> str:
    """Read a property. Raises BadProperty."""
    value = properties.get(name)
    if not isinstance(value, str):
        raise BadProperty(name, "a text")
    return value


def settings_of(client: Any, project: str) -> Project | None:
    """Read what a project published of itself; None when no such project lives. Raises BadSettings."""
    name = f"/mlops/projects/{project}/settings"
    try:
        value = client.get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        if code(error) == "ParameterNotFound":
            return None
        raise
    try:
        document = json.loads(value)
        found = Project(project, document["project_id"], document["project_role_arn"])
    except (ValueError, TypeError, KeyError) as error:
        raise BadSettings(name, f"{type(error).__name__}: {error}") from error
    if not isinstance(found.id, str) or not isinstance(found.role_arn, str):
        raise BadSettings(name, "project_id and project_role_arn have to be texts")
    return found


def living(ssm: Any, project: str) -> Project:
    """Read what a living project published of itself. Raises NoProject, BadSettings."""
    found = settings_of(ssm, project)
    if found is None:
        raise NoProject(project)
    return found


def profiles(client: Any, domain: str) -> list[str]:
    """List the names of all profiles. Raises DomainGone."""
    with of_domain(client, domain):
        pages = client.get_paginator("list_user_profiles").paginate(DomainIdEquals=domain, PaginationConfig=PAGE)
        return [one["UserProfileName"] for page in pages for one in page["UserProfiles"]]


def look(client: Any, domain: str, name: str) -> Profile | None:
    """Look at a profile; None when it is gone."""
    try:
        found = client.describe_user_profile(DomainId=domain, UserProfileName=name)
        pages = client.get_paginator("list_tags").paginate(ResourceArn=found["UserProfileArn"])
        tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
    except ClientError as error:
        if is_gone(error):
            return None
        raise
    return Profile(name, found.get("UserSettings", {}).get("ExecutionRole", ""), found["Status"], tags)


@contextmanager
def of_domain(client: Any, domain: str) -> Iterator[None]:
    """Raise DomainGone when a call fails because the domain exists no more, and every other error as it is."""
    try:
        yield
    except ClientError as error:
        if code(error) in (*NOT_FOUND, "ValidationException") and not _stands(client, domain):
            raise DomainGone(domain) from error
        raise


def is_gone(error: ClientError) -> bool:
    """Tell whether what a call was about exists no more."""
    said = str(error.response["Error"].get("Message", "")).lower()
    return code(error) in NOT_FOUND or (
        code(error) == "ValidationException" and any(words in said for words in SAYS_NOT_FOUND)
    )


def code(error: ClientError) -> str:
    """Give the code of an error of AWS."""
    return str(error.response["Error"]["Code"])


def _stands(client: Any, domain: str) -> bool:
    try:
        client.describe_domain(DomainId=domain)
    except ClientError as error:
        if is_gone(error):
            return False
        raise
    return True


def _asked(properties: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Read the properties of a user and give them with the profile's name. Raises Refused."""
    alias = text(properties, "UserAlias") if "UserAlias" in properties else ""
    asked = {
        "DomainId": domain_id(properties),
        "UserEmail": owner(text(properties, "UserEmail")),
        "ProjectName": project_name(text(properties, "ProjectName")),
    }
    size, most = (str(properties.get(name) or "0") for name in ("SpaceSizeInGb", "MaxSpaceSizeInGb"))
    if not (size.isdecimal() and most.isdecimal()) or int(size) > int(most):
        raise SpaceTooLarge(size, most)
    return asked, profile_name(asked["UserEmail"], asked["ProjectName"], alias)


def _own_id(asked: Mapping[str, str], name: str) -> str:
    return f"{asked['DomainId']}/{name}/{digest(asked['UserEmail'])[:8]}"


def _answer(asked: Mapping[str, str], name: str, project: Project) -> Answer:
    data = {"UserProfileName": name, "Owner": asked["UserEmail"]}
    return Answer(_own_id(asked, name), data | {"ProjectRoleArn": project.role_arn, "ProjectId": project.id})


def _check_free(client: Any, domain: str, name: str, address: str, stack_id: str) -> None:
    """Refuse a name that a profile has, in whatever capitals: SageMaker does not tell them apart. Raises Refused.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateUserProfile.html
    """
    try:
        # The list's own filter is not used: whether it minds capitals is not documented.
        taken = [one for one in profiles(client, domain) if one.lower() == name.lower()]
    except DomainGone as error:
        raise NoDomain(domain) from error
    for one in taken:
        found = look(client, domain, one)
        if found is None or found.tags.get(STACK_TAG) == stack_id:
            continue
        if found.status == "Deleting":
            raise NameTaken(one, "that profile is just being deleted", "Launch again when it is gone.")
        has = found.tags.get(OWNER)
        if has and has.casefold() == address.casefold():
            raise NameTaken(
                one, f"{has} is a user of this project already", "Use that profile, or terminate its product first."
            )
        who = f"it belongs to {has}" if has else "a profile made by hand has it"
        raise NameTaken(one, who, "Set UserAlias to another word, or delete the other profile first.")
