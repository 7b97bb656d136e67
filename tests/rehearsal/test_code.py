"""CodeCommit: a real git client over HTTP and the API, both over real repositories, each held by its caller's policies."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from rehearsal.client import ACCOUNT, Emulator, fetch
from tests.rehearsal.small import PUSH, REGION, SEED, Small, clone, deployed, git, pushed, refused, until

ASSETS = f"assets-{REGION}"


@pytest.fixture(scope="module")
def small(account: Emulator) -> Iterator[Small]:
    facts = deployed(account, "code", PUSH.read_text(encoding="utf-8"), CodeBucket=ASSETS)
    assert facts["Status"] == "CREATE_COMPLETE", facts["Why"]
    yield Small(account, facts)
    s3, api, made = account.client("s3"), account.client("cloudformation"), Small(account, facts)
    for one in made.executions():  # pushes started them
        with contextlib.suppress(ClientError):
            account.client("codepipeline").stop_pipeline_execution(
                pipelineName=made.pipeline, pipelineExecutionId=one["pipelineExecutionId"], abandon=True
            )
    until(lambda: not [one for one in made.executions() if one["status"] in ("InProgress", "Stopping")])
    until(lambda: all(row["buildComplete"] for row in fetch(account.endpoint, "builds")))
    for row in s3.list_objects_v2(Bucket=facts["Store"]).get("Contents", []):
        s3.delete_object(Bucket=facts["Store"], Key=row["Key"])
    number = api.describe_stacks(StackName="code")["Stacks"][0]["StackId"]
    api.delete_stack(StackName="code")
    until(lambda: api.describe_stacks(StackName=number)["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE")
    with refused("RepositoryDoesNotExistException"):
        account.client("codecommit").get_repository(repositoryName=facts["Code"])


def test_git_client_clones_pushes_and_fetches(small: Small, tmp_path: Path) -> None:
    writer, reader = small.role("Writer"), small.role("Reader")
    first = clone(tmp_path, small, writer)
    assert {name: (first / name).read_text() for name in SEED} == SEED
    other = tmp_path / "other"
    other.mkdir()
    second = clone(other, small, reader)
    done = pushed(first, writer, {"new/file.txt": "new\n"})
    assert done.returncode == 0, done.stderr
    assert git(second, reader, "pull", "--quiet").returncode == 0
    assert (second / "new/file.txt").read_text() == "new\n"
    tip = git(first, writer, "rev-parse", "HEAD").stdout.strip()
    branch = small.account.client("codecommit").get_branch(repositoryName=small.facts["Code"], branchName="main")
    assert branch["branch"]["commitId"] == tip
    assert git(first, writer, "fsck").returncode == 0


def test_git_client_is_held_by_its_policies(small: Small, tmp_path: Path) -> None:
    writer, reader = small.role("Writer"), small.role("Reader")
    own = clone(tmp_path, small, reader)
    done = pushed(own, reader, {"mine.txt": "x\n"})
    assert done.returncode and "403" in done.stderr
    for branch, is_allowed in (("release/1", False), ("feature", True)):
        done = git(own, writer, "push", "origin", f"HEAD:refs/heads/{branch}")
        assert (done.returncode == 0) is is_allowed, done.stderr
    refs = git(own, writer, "ls-remote").stdout
    assert "refs/heads/feature" in refs and "release" not in refs and "mine" not in refs
    for wrong in (
        replace(writer, secret_key="0" * 40),
        replace(writer, token="wrong"),
        replace(writer, access_key="ASIA" + "0" * 16),
    ):
        done = git(own, wrong, "fetch")
        assert done.returncode and "403" in done.stderr
    done = git(own, writer, "ls-remote", f"{small.account.endpoint}/v1/repos/foreign")
    assert done.returncode and "not found" in done.stderr
    connection = http.client.HTTPConnection(urlsplit(small.account.endpoint).netloc, timeout=10)
    connection.request("GET", f"/v1/repos/{small.facts['Code']}/info/refs?service=git-upload-pack")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="codecommit"')
    connection.close()


def test_every_changed_reference_is_an_event(small: Small, tmp_path: Path) -> None:
    writer = small.role("Writer")
    own = clone(tmp_path, small, writer)
    before = git(own, writer, "rev-parse", "HEAD").stdout.strip()
    pushed(own, writer, {"told.txt": "x\n"})
    after = git(own, writer, "rev-parse", "HEAD").stdout.strip()
    git(own, writer, "push", "origin", "HEAD:refs/heads/told")
    git(own, writer, "push", "origin", ":refs/heads/told")
    found: dict[tuple[str, str], dict[str, Any]] = {}

    def all_told() -> bool:
        for event in small.told():
            detail = event["detail"]
            if after in (detail.get("commitId"), detail.get("oldCommitId")):
                found[detail["event"], detail["referenceName"]] = event
        return len(found) == 3

    until(all_told)
    updated = found["referenceUpdated", "main"]
    arn = f"arn:aws:codecommit:{REGION}:{ACCOUNT}:{small.facts['Code']}"
    assert (updated["detail-type"], updated["resources"]) == ("CodeCommit Repository State Change", [arn])
    wanted = {
        "commitId": after,
        "oldCommitId": before,
        "referenceType": "branch",
        "referenceFullName": "refs/heads/main",
    }
    assert wanted.items() <= updated["detail"].items()
    assert updated["detail"]["repositoryName"] == small.facts["Code"]
    assert "oldCommitId" not in found["referenceCreated", "told"]["detail"]
    assert "commitId" not in found["referenceDeleted", "told"]["detail"]


def test_api_commits_and_reads(small: Small) -> None:
    api, name = small.role("Writer").client("codecommit"), small.facts["Code"]
    tip = api.get_branch(repositoryName=name, branchName="main")["branch"]["commitId"]
    api.create_branch(repositoryName=name, branchName="platform/v2", commitId=tip)
    with refused("BranchNameExistsException"):
        api.create_branch(repositoryName=name, branchName="platform/v2", commitId=tip)
    with refused("CommitDoesNotExistException"):
        api.create_branch(repositoryName=name, branchName="none", commitId="0" * 40)
    commit: dict[str, Any] = {
        "repositoryName": name,
        "branchName": "platform/v2",
        "authorName": "Platform",
        "email": "p@example.com",
    }
    files = [{"filePath": "folder/run.sh", "fileContent": b"echo hi\n", "fileMode": "EXECUTABLE"},
             {"filePath": "folder/bytes.bin", "fileContent": bytes(range(256))}]  # fmt: skip
    with refused("ParentCommitIdRequiredException"):
        api.create_commit(**commit, putFiles=files)
    made = api.create_commit(
        **commit, parentCommitId=tip, putFiles=files, deleteFiles=[{"filePath": "README.md"}], commitMessage="Version 2"
    )
    with refused("ParentCommitIdOutdatedException"):
        api.create_commit(**commit, parentCommitId=tip, putFiles=files)
    with refused("NoChangeException"):
        api.create_commit(**commit, parentCommitId=made["commitId"], putFiles=files)
    with refused("MaximumFileEntriesExceededException"):
        many = [{"filePath": f"{number}", "fileContent": b"x"} for number in range(101)]
        api.create_commit(**commit, parentCommitId=made["commitId"], putFiles=many)
    with refused("InvalidPathException"):
        api.create_commit(
            **commit, parentCommitId=made["commitId"], putFiles=[{"filePath": "../out", "fileContent": b"x"}]
        )
    shown = api.get_commit(repositoryName=name, commitId=made["commitId"])["commit"]
    assert (shown["parents"], shown["message"], shown["author"]["name"]) == ([tip], "Version 2", "Platform")
    found = api.get_file(repositoryName=name, commitSpecifier="platform/v2", filePath="folder/bytes.bin")
    assert found["fileContent"] == bytes(range(256))
    folder = api.get_folder(repositoryName=name, commitSpecifier=made["commitId"], folderPath="folder")
    assert {row["relativePath"]: row["fileMode"] for row in folder["files"]}["run.sh"] == "EXECUTABLE"
    assert "folder" in [
        row["relativePath"] for row in api.get_folder(repositoryName=name, folderPath="/")["subFolders"]
    ]
    changed = api.get_differences(repositoryName=name, beforeCommitSpecifier="main", afterCommitSpecifier="platform/v2")
    kinds = {(row.get("afterBlob") or row["beforeBlob"])["path"]: row["changeType"] for row in changed["differences"]}
    assert kinds == {"README.md": "D", "folder/bytes.bin": "A", "folder/run.sh": "A"}
    with refused("FileDoesNotExistException"):
        api.get_file(repositoryName=name, commitSpecifier="platform/v2", filePath="README.md")
    with refused("BranchDoesNotExistException"):
        api.get_branch(repositoryName=name, branchName="nowhere")
    with refused("AccessDeniedException", "codecommit:CreateCommit"):
        small.role("Reader").client("codecommit").create_commit(
            **commit, parentCommitId=made["commitId"], putFiles=files
        )
    with refused("AccessDeniedException", "explicit deny"):
        api.delete_branch(repositoryName=name, branchName="release1")


def test_pull_request_shows_its_branches_and_closes_when_they_are_merged(small: Small, tmp_path: Path) -> None:
    writer = small.role("Writer")
    api, name = writer.client("codecommit"), small.facts["Code"]
    own = clone(tmp_path, small, writer)
    git(own, writer, "checkout", "--quiet", "-b", "offer")
    pushed(own, writer, {"offer.txt": "x\n"}, "offer")
    target = {"repositoryName": name, "sourceReference": "offer", "destinationReference": "main"}
    asked: dict[str, Any] = {"title": "Offer", "targets": [target], "clientRequestToken": "offer-1"}
    made = api.create_pull_request(**asked)["pullRequest"]
    assert api.create_pull_request(**asked)["pullRequest"]["pullRequestId"] == made["pullRequestId"]
    with refused("ReferenceDoesNotExistException"):
        api.create_pull_request(title="None", targets=[{**target, "sourceReference": "none"}])
    opened = {"repositoryName": name, "pullRequestStatus": "OPEN"}
    assert api.list_pull_requests(**opened)["pullRequestIds"] == [made["pullRequestId"]]
    shown = made["pullRequestTargets"][0]
    assert shown["sourceCommit"] == git(own, writer, "rev-parse", "HEAD").stdout.strip()
    assert git(own, writer, "push", "origin", "offer:main").returncode == 0
    merged = api.get_pull_request(pullRequestId=made["pullRequestId"])["pullRequest"]
    assert merged["pullRequestStatus"] == "CLOSED" and merged["pullRequestTargets"][0]["mergeMetadata"]["isMerged"]
    assert api.list_pull_requests(**opened)["pullRequestIds"] == []


@pytest.mark.parametrize(
    ("seed", "words"), [("seeds/empty.zip", "__init__.py is empty"), ("v1/mixed.yaml", "not a valid .zip")]
)
def test_bad_seed_fails_the_stack(account: Emulator, seed: str, words: str) -> None:
    name = f"bad-{'empty' if 'empty' in seed else 'zip'}"
    code = {"BranchName": "main", "S3": {"Bucket": ASSETS, "Key": seed}}
    properties = {"RepositoryName": name, "Code": code}
    template = {"Resources": {"Code": {"Type": "AWS::CodeCommit::Repository", "Properties": properties}}}
    told = deployed(account, name, json.dumps(template))
    assert told["Status"] == "ROLLBACK_COMPLETE" and words in told["Why"]
