"""CodeCommit's API over the repositories that stacks made; every answer is read out of git."""

from __future__ import annotations

import base64
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.acting import Place, now
from rehearsal.code.git import MODES, NONE, Commit, Entry, Git, unpacked
from rehearsal.code.pull_requests import PullRequests
from rehearsal.errors import Refused
from rehearsal.ledger import Answer, Ledger, Request
from rehearsal.services import Call, Json, Service, ServiceError, page, tag_keys, tags_of

REPOSITORY = "AWS::CodeCommit::Repository"
NAMES = {mode: name for name, mode in MODES.items()}
MOST_FILES = 100  # of a commit by the API: https://docs.aws.amazon.com/codecommit/latest/userguide/limits.html


@dataclass(frozen=True)
class Repository:
    """A repository of an account and region."""

    id: str
    name: str
    place: Place
    git: Git
    properties: Mapping[str, Any]
    made: Answer

    @property
    def arn(self) -> str:
        return self.place.arn("codecommit", self.name)


class Repositories(Service):
    """What people, functions and pipelines ask of CodeCommit; merging is left to git clients."""

    name = "codecommit"

    def __init__(self, ledger: Ledger, endpoint: str, folder: Path, object_bytes: Callable[[str, str], bytes]) -> None:
        super().__init__()
        self._ledger, self._endpoint, self._folder, self._object_bytes = ledger, endpoint, folder, object_bytes
        self._born = now()
        self._pushes: dict[str, threading.Lock] = {}
        self.parts = [PullRequests(self)]
        shutil.rmtree(folder, ignore_errors=True)  # stacks do not outlive the server, and so their repositories do not

    def after(self) -> dict[tuple[str, str], Callable[[Request, Answer], None]]:
        """Give what happens when stacks make and delete repositories."""
        return {(REPOSITORY, "create"): self._seed, (REPOSITORY, "delete"): self._drop}

    def of(self, account: str, region: str = "") -> list[Repository]:
        """List an account's repositories, in a region or in all."""
        entries = self._ledger.everywhere(REPOSITORY, account)
        return [self._known(request, made) for request, made in entries if region in ("", request.region)]

    def pushing(self, repository: Repository) -> threading.Lock:
        """Give the lock under which a repository changes."""
        return self._pushes.setdefault(repository.id, threading.Lock())

    def changed(self, repository: Repository, before: Mapping[str, str], caller: str) -> None:
        """Send an event for every reference that is not what it was.

        Fields: https://docs.aws.amazon.com/codecommit/latest/userguide/monitoring-events.html"""
        after = repository.git.refs()
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name), after.get(name)
            if old == new:
                continue
            what = "referenceCreated" if old is None else "referenceDeleted" if new is None else "referenceUpdated"
            ids = {key: value for key, value in (("commitId", new), ("oldCommitId", old)) if value}
            detail = {
                "event": what,
                "repositoryName": repository.name,
                "repositoryId": repository.id,
                "referenceType": "branch" if name.startswith("refs/heads/") else "tag",
                "referenceName": name.split("/", 2)[2],
                "referenceFullName": name,
                "callerUserArn": caller,
                **ids,
            }
            repository.place.tell("aws.codecommit", "CodeCommit Repository State Change", [repository.arn], detail)

    # Repositories and branches

    def get_repository(self, call: Call) -> Json:
        return {"repositoryMetadata": self._metadata(self.allowed(call))}

    def list_repositories(self, call: Call) -> Json:
        call.allow("codecommit:ListRepositories")
        found = [{"repositoryName": one.name, "repositoryId": one.id} for one in self.of(*call.place)]
        rows, token = page(found, 1000, call.request.get("nextToken"))
        return {"repositories": rows, "nextToken": token}

    def get_branch(self, call: Call) -> Json:
        repository, name = self.allowed(call), call.request.get("branchName", "")
        return {"branch": {"branchName": name, "commitId": self._branch(repository, name)}}

    def list_branches(self, call: Call) -> Json:
        names = [
            name.removeprefix("refs/heads/") for name in self.allowed(call).git.refs() if name.startswith("refs/heads/")
        ]
        rows, token = page(names, 1000, call.request.get("nextToken"))
        return {"branches": rows, "nextToken": token}

    def create_branch(self, call: Call) -> None:
        name = call.request["branchName"]
        repository = self.allowed(call, f"refs/heads/{name}")
        commit = self._commit(repository, call.request["commitId"])
        with self.pushing(repository):
            before = repository.git.refs()
            if f"refs/heads/{name}" in before:
                raise ServiceError("BranchNameExistsException", f"The branch {name} already exists. Give another name.")
            repository.git.run("update-ref", f"refs/heads/{name}", commit, NONE)
            self.changed(repository, before, call.caller.arn)

    def delete_branch(self, call: Call) -> Json:
        name = call.request["branchName"]
        repository = self.allowed(call, f"refs/heads/{name}")
        if name == self.default(repository):
            raise ServiceError(
                "DefaultBranchCannotBeDeletedException", f"{name} is the default branch. Delete another."
            )
        with self.pushing(repository):
            before = repository.git.refs()
            commit = before.get(f"refs/heads/{name}")
            if commit is None:
                return {}
            repository.git.run("update-ref", "-d", f"refs/heads/{name}")
            self.changed(repository, before, call.caller.arn)
        return {"deletedBranch": {"branchName": name, "commitId": commit}}

    # Commits and files

    def create_commit(self, call: Call) -> Json:
        given, name = call.request, call.request["branchName"]
        repository = self.allowed(call, f"refs/heads/{name}")
        files, gone = given.get("putFiles", []), [row["filePath"] for row in given.get("deleteFiles", [])]
        if len(files) + len(gone) > MOST_FILES:
            raise ServiceError(
                "MaximumFileEntriesExceededException", f"A commit takes {MOST_FILES} files. Make several."
            )
        if unplayed := [row["filePath"] for row in files if "sourceFile" in row] + given.get("setFileModes", []):
            raise ServiceError(
                "FileContentRequiredException", f"The rehearsal takes bytes alone: give {unplayed} as such."
            )
        put = {
            row["filePath"]: (base64.b64decode(row.get("fileContent", "")), MODES[row.get("fileMode", "NORMAL")])
            for row in files
        }
        if bad := [path for path in (*put, *gone) if path.startswith("/") or ".." in path.split("/")]:
            raise ServiceError(
                "InvalidPathException", f"{bad[0]} is no path in a repository. Start at its root, without /."
            )
        with self.pushing(repository):
            before = repository.git.refs()
            tip, parent = before.get(f"refs/heads/{name}"), given.get("parentCommitId")
            if tip is None and before:
                raise ServiceError("BranchDoesNotExistException", f"The branch {name} does not exist. Create it first.")
            if tip and parent is None:
                raise ServiceError(
                    "ParentCommitIdRequiredException", f"Name {tip}, the tip of {name}, as parentCommitId."
                )
            if parent != tip:
                raise ServiceError(
                    "ParentCommitIdOutdatedException", f"{name} is at {tip} by now. Commit on top of that."
                )
            known = {entry.path for entry in repository.git.entries(tip, deep=True)} if tip else set()
            if missing := [path for path in gone if path not in known]:
                raise ServiceError("FileDoesNotExistException", f"{missing[0]} is not on {name}. Leave it out.")
            author = (given.get("authorName") or call.caller.arn.rpartition("/")[2], given.get("email") or "")
            made = repository.git.write(name, tip, put, gone, author, given.get("commitMessage") or "")
            if made is None:
                raise ServiceError("NoChangeException", "The commit changes nothing. Leave it out.")
            self.changed(repository, before, call.caller.arn)
        entries = {entry.path: entry for entry in repository.git.entries(made, deep=True)}
        rows = [
            {"absolutePath": path, "blobId": entries[path].id, "fileMode": NAMES[entries[path].mode]} for path in put
        ]
        return {"commitId": made, "treeId": repository.git.commit(made).tree, "filesAdded": rows}

    def get_commit(self, call: Call) -> Json:
        repository = self.allowed(call)
        found = repository.git.commit(self._commit(repository, call.request["commitId"]))
        return {"commit": told(found)}

    def get_folder(self, call: Call) -> Json:
        repository, folder = self.allowed(call), call.request["folderPath"].strip("/")
        commit = self._specified(call, repository)
        entries = repository.git.entries(commit, folder)
        if folder and not entries:
            raise ServiceError("FolderDoesNotExistException", f"{commit} has no folder {folder}. Look at its parent.")
        names = {e.path: e.path.rpartition("/")[2] for e in entries}
        rows = [{"blobId": e.id, "absolutePath": e.path, "relativePath": names[e.path], "fileMode": NAMES.get(e.mode)}
                for e in entries if e.kind == "blob" and e.mode != MODES["SYMLINK"]]  # fmt: skip
        below = [
            {"treeId": e.id, "absolutePath": e.path, "relativePath": names[e.path]} for e in entries if e.kind == "tree"
        ]
        return {"commitId": commit, "folderPath": folder, "files": rows, "subFolders": below}

    def get_file(self, call: Call) -> Json:
        repository, path = self.allowed(call), call.request["filePath"].strip("/")
        commit = self._specified(call, repository)
        entry = next((e for e in repository.git.entries(commit, deep=True) if e.path == path), None)
        if entry is None:
            raise ServiceError("FileDoesNotExistException", f"{commit} has no file {path}. Look at its folder.")
        content = repository.git.blob(entry.id)
        facts = {"commitId": commit, "blobId": entry.id, "filePath": path, "fileMode": NAMES[entry.mode]}
        return {**facts, "fileSize": len(content), "fileContent": content}

    def get_differences(self, call: Call) -> Json:
        repository = self.allowed(call)
        after = self._commit(repository, call.request["afterCommitSpecifier"])
        before = call.request.get("beforeCommitSpecifier")
        found = repository.git.differences(self._commit(repository, before) if before else None, after)
        kinds = {(True, False): "D", (False, True): "A", (True, True): "M"}
        rows = [
            {"beforeBlob": _blob(old), "afterBlob": _blob(new), "changeType": kinds[old is not None, new is not None]}
            for old, new in found
        ]
        rows, token = page(rows, call.request.get("MaxResults", 100), call.request.get("NextToken"))
        return {"differences": rows, "NextToken": token}

    # What there is

    def allowed(self, call: Call, reference: str = "", name: str = "") -> Repository:
        """Find the repository that a request names; its ARN carries the permission."""
        name = name or call.request["repositoryName"]
        found = next((one for one in self.of(*call.place) if one.name == name), None)
        held = tag_keys({}, tags_of(_tags(found.properties)) if found else {})
        keys = held | ({"codecommit:References": reference} if reference else {})
        call.allow(f"codecommit:{call.operation}", call.arn("codecommit", name), **keys)
        if found is None:
            raise ServiceError("RepositoryDoesNotExistException", f"{name} does not exist. Look at ListRepositories.")
        return found

    def _known(self, request: Request, made: Answer) -> Repository:
        place = Place(self._endpoint, request.account, request.region)
        git = Git(self._folder / request.account / request.region / f"{made.physical_id}.git")
        return Repository(
            made.physical_id, str(request.properties["RepositoryName"]), place, git, request.properties, made
        )

    def default(self, repository: Repository) -> str:
        return repository.git.text("symbolic-ref", "--short", "HEAD")

    def _branch(self, repository: Repository, name: str) -> str:
        found = repository.git.branch(name)
        if found is None:
            raise ServiceError("BranchDoesNotExistException", f"{repository.name} has no branch {name}. Push it first.")
        return found

    def _commit(self, repository: Repository, specifier: str) -> str:
        found = repository.git.find(specifier)
        if found is None:
            raise ServiceError(
                "CommitDoesNotExistException", f"{repository.name} has no commit {specifier}. Push it first."
            )
        return found

    def _specified(self, call: Call, repository: Repository) -> str:
        return self._commit(repository, call.request.get("commitSpecifier") or self.default(repository))

    def _metadata(self, repository: Repository) -> Json:
        return {
            "accountId": repository.place.account,
            "repositoryId": repository.id,
            "repositoryName": repository.name,
            "repositoryDescription": repository.properties.get("RepositoryDescription"),
            "defaultBranch": self.default(repository),
            "creationDate": self._born,
            "lastModifiedDate": self._born,
            "cloneUrlHttp": repository.made.attributes["CloneUrlHttp"],
            "cloneUrlSsh": repository.made.attributes["CloneUrlSsh"],
            "Arn": repository.arn,
            "kmsKeyId": repository.properties.get("KmsKeyId"),
        }

    def _seed(self, request: Request, made: Answer) -> None:
        repository = self._known(request, made)
        code = request.properties.get("Code") or {}
        branch = code.get("BranchName", "main")
        files = {}
        if "S3" in code:
            try:
                files = unpacked(self._object_bytes(code["S3"]["Bucket"], code["S3"]["Key"]))
            except ValueError as error:
                raise Refused(str(error)) from None
        repository.git.create(branch)
        if files:
            repository.git.write(
                branch, None, files, (), ("AWS CodeCommit", "noreply-awscodecommit@amazon.com"), "Initial commit"
            )
            self.changed(repository, {}, request.stack_id)

    def _drop(self, request: Request, made: Answer) -> None:
        shutil.rmtree(self._known(request, made).git.folder, ignore_errors=True)


def told(commit: Commit) -> Json:
    """Give a commit as the API does."""
    people = [dict(zip(("name", "email", "date"), who, strict=True)) for who in (commit.author, commit.committer)]
    facts = {"commitId": commit.id, "treeId": commit.tree, "parents": list(commit.parents), "message": commit.message}
    return {**facts, "author": people[0], "committer": people[1], "additionalData": ""}


def _blob(entry: Entry | None) -> Json | None:
    return {"blobId": entry.id, "path": entry.path, "mode": entry.mode} if entry else None


def _tags(properties: Mapping[str, Any]) -> Any:
    return properties.get("Tags") or ()
