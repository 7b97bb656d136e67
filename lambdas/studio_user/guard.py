"""Keep a project's name to one living project, and the project alive while people work in it.

The profile of a project that is gone would keep its spaces and files, and have no role to open them with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from custom_resource import Answer, Request
from names import BadProperty, Refused, project_name
from users import PROJECT_TAG, DomainGone, domain_id, look, profiles, settings_of, text

RESERVED = (
    "admin",
    "platform",
    "boundary",
    "infra",
    "projects",
)  # names that paths and facts of the platform itself have
PROJECT_ID = re.compile(r"p-[a-z0-9]{1,18}")
NAMED = 5  # how many users a message names


class NameReserved(Refused):
    """The platform uses the name for itself."""

    def __init__(self, project: str) -> None:
        super().__init__(
            f"The platform itself uses the name {project} in its paths: choose another name for the project."
        )


class ProjectLives(Refused):
    """Another project has the name."""

    def __init__(self, project: str, other: str) -> None:
        super().__init__(
            f"There is a project {project} already ({other}): choose another name, or delete that project first."
        )


class ProjectRenamed(Refused):
    """An update asks for another name or id."""

    def __init__(self, now: str, asked: str) -> None:
        super().__init__(f"This project is {now}, not {asked}. What it keeps has its name: keep the first values, or create a "
                         "new project.")  # fmt: skip


class HasUsers(Refused):
    """People have profiles in the project."""

    def __init__(self, project: str, users: list[str]) -> None:
        told = ", ".join(users[:NAMED]) + (" and more" if len(users) > NAMED else "")
        super().__init__(f"Project {project} has users: {told}. Terminate their \"Studio user\" products first (and delete in "
                         "SageMaker what was made by hand), then delete the project again.")  # fmt: skip


class NotTrusted(Refused):
    """Staging or production is to be where the platform trusts nobody."""

    def __init__(self, name: str, accounts: list[str]) -> None:
        super().__init__(f"{name} names {', '.join(accounts)}, which 1-infra does not trust: leave them out, or have "
                         "TrustedAccountIds of 1-infra name them first.")  # fmt: skip


class NoOrganization(Refused):
    """Organizational units without an organization."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} needs an organization: have OrganizationId of 1-infra name it first, or give accounts."
        )


def check(ssm: Any, request: Request) -> Answer:
    """Let a project begin: with a name that is free, and with accounts that are trusted. Raises Refused."""
    project, own_id = _asked(request)
    if project in RESERVED:
        raise NameReserved(project)
    found = settings_of(ssm, project)
    if found is not None and _own_id(project, found.id) != own_id:
        raise ProjectLives(project, found.id)
    if request.type == "Update" and request.physical_id != f"check/{own_id}":
        raise ProjectRenamed(request.physical_id.removeprefix("check/"), own_id)
    _targets(request.properties)
    return Answer(f"check/{own_id}")


def create(request: Request) -> Answer:
    """Begin to guard."""
    return Answer(_asked(request)[1])


def update(request: Request) -> Answer:
    """Refuse another name or id; the physical id remembers them, also while a refused update is taken back."""
    _, own_id = _asked(request)
    if own_id != request.physical_id:
        raise ProjectRenamed(request.physical_id, own_id)
    return Answer(own_id)


def delete(sagemaker: Any, tagging: Any, request: Request) -> Answer:
    """Refuse while profiles of the project stand. Raises HasUsers."""
    project, made, _ = request.physical_id.partition("/")
    if not made:
        # Create was refused or never answered: what stands under the name is another project's, and no reason to stay.
        return Answer()
    try:
        # One more than a message names tells that there are more.
        users = list(islice(_users(sagemaker, tagging, domain_id(request.properties), project), NAMED + 1))
    except DomainGone:
        return Answer()
    if users:
        raise HasUsers(project, users)
    return Answer()


def _targets(properties: Mapping[str, Any]) -> None:
    trusted = _listed(properties, "TrustedAccounts")
    for name in ("StagingAccountIds", "ProductionAccountIds"):
        if foreign := [account for account in _listed(properties, name) if account not in trusted]:
            raise NotTrusted(name, foreign)
    for name in ("StagingOrganizationalUnitIds", "ProductionOrganizationalUnitIds"):
        if _listed(properties, name) and str(properties.get("OrganizationId", "none")) in ("", "none"):
            raise NoOrganization(name)


def _listed(properties: Mapping[str, Any], name: str) -> list[str]:
    """Read a list, or a text with commas."""
    given = properties.get(name) or []
    return [str(one) for one in (given.split(",") if isinstance(given, str) else given)]


def _asked(request: Request) -> tuple[str, str]:
    """Read name and physical id of a project. Raises Refused."""
    project, project_id = project_name(text(request.properties, "ProjectName")), text(request.properties, "ProjectId")
    if not PROJECT_ID.fullmatch(project_id):
        raise BadProperty("ProjectId", "the id that SageMaker gave the project, such as p-abc123")
    domain_id(request.properties)  # Delete needs it, and a fault of the template should show now
    return project, _own_id(project, project_id)


def _own_id(project: str, project_id: str) -> str:
    return f"{project}/{project_id}"


def _users(sagemaker: Any, tagging: Any, domain: str, project: str) -> Iterator[str]:
    """Find profiles by tag and by name: tags are searched with a delay, and a profile made by hand may have none."""
    stand = {name.lower(): name for name in profiles(sagemaker, domain)}
    tagged = list(_tagged(tagging, project))
    found = {name.lower() for where, name in tagged if where == domain} & set(stand)
    yield from (stand[name] for name in sorted(found))
    for name in sorted(set(stand) - found):
        # anna-churn-eu may be Anna in churn-eu and not Anna-Churn in eu, so the name alone says nothing.
        if name.endswith(f"-{project}") and _is_of(sagemaker, domain, stand[name], project):
            yield stand[name]
    for where, name in tagged:
        # The search may still show what was deleted a moment ago.
        if where != domain and look(sagemaker, where, name) is not None:
            yield f"{name} (in domain {where})"


def _is_of(sagemaker: Any, domain: str, name: str, project: str) -> bool:
    found = look(sagemaker, domain, name)
    return found is not None and (found.tags.get(PROJECT_TAG) == project or f":role/mlops/{project}/" in found.role_arn)


def _tagged(client: Any, project: str) -> Iterator[tuple[str, str]]:
    """Search the account for profiles with the project's tag; give domain and name of each."""
    wanted = {
        "TagFilters": [{"Key": PROJECT_TAG, "Values": [project]}],
        "ResourceTypeFilters": ["sagemaker:user-profile"],
    }
    for page in client.get_paginator("get_resources").paginate(**wanted):
        for one in page["ResourceTagMappingList"]:
            _, domain, name = one["ResourceARN"].split(":", 5)[5].split("/", 2)
            yield domain, name
