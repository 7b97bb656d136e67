"""Bring a new version of the platform to the people who own its repositories: a branch and a pull request, never main.

Called by: CloudFormation, as a custom resource. Properties: `Version`; `Bucket`, the published bucket; `Repositories`, a list of
{Name: the CodeCommit repository, Seed: the key of its seed's zip in this version}. Attribute: `Told`, what each repository got.
Create does nothing: CloudFormation fills a repository when it makes it. Update to a newer version puts what differs between the
old and the new seed on the branch `platform/v<Version>`; to any other version, as in a rollback, it does nothing. A repository
that is gone or has no main is passed over. Delete does nothing. Give it 300 seconds.
Environment: AWS_REGION (set by Lambda).
IAM: GetObject -> s3:GetObject -> v*/seeds/* in the published bucket, of this version and of the version before
     GetBranch, GetFolder, ListPullRequests, GetPullRequest, CreatePullRequest -> the codecommit actions of these names -> the
         repositories
     CreateBranch, CreateCommit -> the codecommit actions of these names -> the repositories; to be denied when
         codecommit:References is refs/heads/main
     (by CodeCommit, in this function's name) -> kms:Decrypt, kms:Encrypt, kms:ReEncrypt*, kms:GenerateDataKey,
         kms:GenerateDataKeyWithoutPlaintext, kms:DescribeKey -> the key of the repositories, by kms:ViaService codecommit
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from custom_resource import Answer, Request, answer
from delivery import Outcome, deliver
from repository import Repository
from seeds import File, Seed, Unreadable, fetch
from versions import BadProperties, PlatformCodeError, Release, is_newer, read

LONGEST = 1500  # characters of `Told`, so that it fits beside any identifiers
LOGGER = Logger(service="platform-code")
RETRIES: Any = {"mode": "standard", "total_max_attempts": 6}
CONFIG = Config(connect_timeout=3, read_timeout=30, retries=RETRIES)
S3: Any = boto3.client("s3", config=CONFIG)
CODECOMMIT: Any = boto3.client("codecommit", config=CONFIG)


class NotDeliveredEverywhere(PlatformCodeError):
    """Some repositories did not get the new version."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        told = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
        super().__init__(f"{told}. Mend this and repeat the update: it goes on where it was.")


def handler(event: dict[str, Any], context: Any) -> None:
    """Answer a custom resource request."""
    answer(event, context, _act)


def _act(request: Request) -> Answer:
    # The physical id never changes: there is nothing that a replacement would remove.
    if request.type == "Delete":
        return _told("nothing done: branches and pull requests belong to the repositories")
    release = read(request.properties)
    if request.type == "Create":
        return _told("nothing done: CloudFormation fills a repository when it makes it")
    try:
        before = read(request.old_properties)
    except BadProperties:
        # A version whose properties were refused is rolled back.
        return _told("nothing done: the properties before were none of a version")
    if not is_newer(release.version, before.version):
        return _told(f"nothing done: {release.version} is not newer than {before.version}")
    return _told("; ".join(f"{name}: {outcome.told}" for name, outcome in _deliver(release, before).items()))


def _deliver(release: Release, before: Release) -> dict[str, Outcome]:
    """Bring the version to each repository that was there before. Raises when one did not get it, after all were tried."""
    outcomes = {
        name: Outcome("passed-over", "nothing done, it begins with this version")
        for name in release.seeds
        if name not in before.seeds
    }
    # All seeds before the first branch: a release that is not whole changes nothing anywhere.
    seeds = {name: _seeds(release, before, name) for name in release.seeds if name not in outcomes}
    faults: dict[str, str] = {}
    for name, (old, new) in seeds.items():
        try:
            outcomes[name] = deliver(Repository(CODECOMMIT, name), release, before.version, old, new)
        except (ClientError, BotoCoreError, PlatformCodeError) as error:
            faults[name] = f"{type(error).__name__}: {error}"
    for name, outcome in outcomes.items():
        facts = {"pull_request": outcome.pull_request, "commits": outcome.commits, "told": outcome.told}
        LOGGER.info(
            "platform code",
            extra={"decision": outcome.decision, "repository": name, "branch": release.branch, **facts},
        )
    if faults:
        raise NotDeliveredEverywhere(faults)
    return outcomes


def _seeds(release: Release, before: Release, name: str) -> tuple[Mapping[str, File], Seed]:
    """Give the files of the old seed and the new seed. Raises Unreadable and BadSeed."""
    new = fetch(S3, release.bucket, release.seeds[name])
    try:
        old = fetch(S3, before.bucket, before.seeds[name])
    except Unreadable:
        if before.bucket == release.bucket:
            raise
        # Published files never change, so the new bucket's copy of the old version is as good.
        old = fetch(S3, release.bucket, before.seeds[name])
    return old.files, new


def _told(told: str) -> Answer:
    LOGGER.info("platform code", extra={"decision": "answered", "told": told})
    # ASCII, since everything else takes up to twelve bytes in the answer.
    text = told.encode("ascii", "replace").decode()
    return Answer(data={"Told": text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."})
