"""Read out of an event what happened, and refuse what does not concern a project. Calls nothing.

Fields: https://docs.aws.amazon.com/codecommit/latest/userguide/monitoring-events.html (referenceUpdated) and
https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html (model package state change).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

PUSH, APPROVAL = "push", "approval"
BRANCH, APPROVED, DECISION = "main", "Approved", "ModelApprovalStatus"
LONGEST = 100  # characters of a repository's name; a model package group's is shorter
NAME = re.compile(r"(?P<project>[a-z][a-z0-9]*(?:-[a-z0-9]+)*)-(?P<id>p-[a-z0-9]{1,18})", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
VERSION = re.compile(
    r"arn:[a-z-]+:sagemaker:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):model-package/(?P<group>[a-zA-Z0-9-]+)/\d{1,9}",
    re.ASCII,
)


class RouterError(Exception):
    """Base of what this function raises on its own."""


class NotOurs(RouterError):
    """The event is in order and starts nothing; the text says why."""


class MalformedEvent(RouterError):
    """Not one of the events this function is for. Raised, so that the event is kept in the dead-letter queue."""

    def __init__(self, lack: str) -> None:
        super().__init__(f"Malformed event, {lack}: look at the pattern of the rule that sent it.")


@dataclass(frozen=True)
class Change:
    """What happened. `place` is the repository or model package group, `revision` the commit or the version's ARN.

    `key` is the same in all events that tell of one change, and in no others.
    """

    kind: str
    place: str
    project: str
    project_id: str
    revision: str
    key: str


def read(event: Any, region: str, account: str) -> Change:
    """Read an event; `region` and `account` are this function's own. Raises NotOurs and MalformedEvent."""
    detail = event.get("detail") if isinstance(event, Mapping) else None
    if not isinstance(detail, Mapping):
        raise MalformedEvent("it has no detail")
    source, title = event.get("source"), event.get("detail-type")
    reader = next((one for at, kind, one in READERS if (at, kind) == (source, title)), None)
    if reader is None:
        raise MalformedEvent(f"it is '{short(title)}' from '{short(source)}'")
    _check_place(_text(event, "region"), _text(event, "account"), region, account)
    return reader(detail, region, account)


def short(value: object) -> str:
    """Bound what a log line quotes: names in an event are anybody's choice."""
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _push(detail: Mapping[str, Any], _region: str, _account: str) -> Change:
    what = _text(detail, "event")
    # A new branch starts nothing: CodePipeline runs a pipeline by itself when it makes it.
    if what != "referenceUpdated":
        raise NotOurs(f"{short(what)} starts nothing.")
    kind, branch = _text(detail, "referenceType"), _text(detail, "referenceName")
    if (kind, branch) != ("branch", BRANCH):
        raise NotOurs(f"The {short(kind)} {short(branch)} is not the branch {BRANCH}.")
    repository = _text(detail, "repositoryName")
    project, project_id = _owner(repository)
    commit, before = detail.get("commitId"), detail.get("oldCommitId")
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise MalformedEvent("it has no commitId")
    if before is not None and not isinstance(before, str):
        raise MalformedEvent("its oldCommitId is no text")
    # With the commit before it, so that a branch that was set back to an earlier commit is built again.
    key = f"{PUSH}|{repository}|refs/heads/{BRANCH}|{before or ''}|{commit}"
    return Change(PUSH, repository, project, project_id, commit, key)


def _approval(detail: Mapping[str, Any], region: str, account: str) -> Change:
    status, updated = detail.get(DECISION), detail.get("UpdatedModelPackageFields")
    if status != APPROVED:
        raise NotOurs(f"The version is {short(status)}.")
    # An approved version sends the event for any other change as well, such as new metadata.
    if updated is not None and not isinstance(updated, list):
        raise MalformedEvent("its UpdatedModelPackageFields is no list")
    if DECISION not in (updated or []):
        raise NotOurs(f"The decision is unchanged; {short(updated)} changed.")
    if detail.get("ModelPackageGroupName") is None:
        raise NotOurs("The model package is in no group.")
    group = _text(detail, "ModelPackageGroupName")
    project, project_id = _owner(group)
    arn = _text(detail, "ModelPackageArn")
    match = VERSION.fullmatch(arn)
    if match is None or match["group"] != group:
        raise MalformedEvent(f"its ModelPackageArn is none of a version of {group}")
    _check_place(match["region"], match["account"], region, account)
    return Change(APPROVAL, group, project, project_id, arn, f"{APPROVAL}|{arn}|{status}|{_moment(detail)}")


def _moment(detail: Mapping[str, Any]) -> str:
    """Give what tells two approvals of one version apart: when the version was last changed.

    An approval changes the version, so a later approval has a later time. SageMaker may send several events for one
    change; their ids and their own times differ, but they show the same version, and so the same time.
    """
    moment = detail.get("LastModifiedTime")
    if isinstance(moment, bool) or not isinstance(moment, str | int | float) or moment == "":
        raise MalformedEvent("it has no LastModifiedTime, without which two approvals are one")
    return str(moment)  # a text here, but a number in other events of SageMaker


def _owner(name: str) -> tuple[str, str]:
    match = NAME.fullmatch(name) if len(name) <= LONGEST else None
    if match is None:
        raise NotOurs(f"{short(name)} is no name of a project's.")
    return match["project"], match["id"]


def _check_place(region: str, account: str, own_region: str, own_account: str) -> None:
    # Other accounts and regions can forward their events to this one's bus.
    if (region, account) != (own_region, own_account):
        raise NotOurs(f"The event is of account {short(account)}, {short(region)}.")


def _text(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedEvent(f"it has no {name}")
    return value


READERS: tuple[tuple[str, str, Callable[[Mapping[str, Any], str, str], Change]], ...] = (
    ("aws.codecommit", "CodeCommit Repository State Change", _push),
    ("aws.sagemaker", "SageMaker Model Package State Change", _approval),
)
