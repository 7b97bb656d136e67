"""CodeCommit and a published bucket in memory, behind real clients: real trees, commits with parents, pull requests."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.response import StreamingBody

from tests.lambdas.fake_service import Fake, Refused

MB = 1024 * 1024
Tree = dict[str, tuple[str, bytes]]  # mode and content by path; a submodule has the mode MODULE


def zipped(files: Mapping[str, bytes], executable: tuple[str, ...] = ()) -> bytes:
    """Zip as the publisher does: stored, with modes, without folders."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (0o100755 if name in executable else 0o100644) << 16
            target.writestr(info, content)
    return buffer.getvalue()


def tree_of(files: Mapping[str, bytes], executable: tuple[str, ...] = ()) -> Tree:
    """Give the tree that a repository has when it holds just these files."""
    return {path: ("EXECUTABLE" if path in executable else "NORMAL", content) for path, content in files.items()}


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob " + str(len(content)).encode() + b"\0" + content).hexdigest()


@dataclass(frozen=True)
class Commit:
    """A commit with all that it holds."""

    tree: Tree
    parent: str | None
    message: str


@dataclass
class Repo:
    """A repository: commits by id, branches and the pull requests."""

    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def add(self, branch: str, tree: Tree, message: str = "work", parent: str | None = None) -> str:
        """Add a commit to a branch, made when there is none, as git would."""
        parent = parent or self.branches.get(branch)
        text = repr((sorted(tree.items()), parent, message))
        commit = hashlib.sha1(text.encode()).hexdigest()
        self.commits[commit] = Commit(dict(tree), parent, message)
        self.branches[branch] = commit
        return commit

    def tree(self, branch: str) -> Tree:
        return self.commits[self.branches[branch]].tree

    def line(self, branch: str) -> list[str]:
        """Give the commits of a branch, the newest first."""
        found, commit = [], self.branches.get(branch)
        while commit:
            found.append(commit)
            commit = self.commits[commit].parent
        return found


class Bucket(Fake):
    """S3 with published objects."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.objects: dict[tuple[str, str], bytes] = {}

    def _GetObject(self, Bucket: str, Key: str, **_: Any) -> dict[str, Any]:
        if (Bucket, Key) not in self.objects:
            raise Refused("NoSuchKey", "The specified key does not exist.", 404)
        content = self.objects[Bucket, Key]
        return {"Body": StreamingBody(io.BytesIO(content), len(content))}


class CodeCommit(Fake):
    """CodeCommit as its pages describe it; where they leave a case open, the stricter reading."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.repos: dict[str, Repo] = {}
        self.requests: list[dict[str, Any]] = []
        self.tokens: dict[str, tuple[Any, str]] = {}
        self.page = 2
        self.written: list[str] = []  # branches that calls wrote to
        self.longest = 10_240

    def _repo(self, name: str) -> Repo:
        if name not in self.repos:
            raise Refused("RepositoryDoesNotExistException", f"{name} does not exist")
        return self.repos[name]

    def _GetBranch(self, repositoryName: str, branchName: str) -> dict[str, Any]:
        branches = self._repo(repositoryName).branches
        if branchName not in branches:
            raise Refused("BranchDoesNotExistException", f"{branchName} does not exist")
        return {"branch": {"branchName": branchName, "commitId": branches[branchName]}}

    def _GetFolder(self, repositoryName: str, commitSpecifier: str, folderPath: str) -> dict[str, Any]:
        commit = self._repo(repositoryName).commits.get(commitSpecifier)
        if commit is None:
            raise Refused("CommitDoesNotExistException")
        start = f"{folderPath}/" if folderPath else ""
        below = {path: held for path, held in commit.tree.items() if path.startswith(start)}
        if folderPath and not below:
            raise Refused("FolderDoesNotExistException")
        answer: dict[str, Any] = {"commitId": commitSpecifier, "folderPath": folderPath, "treeId": "0" * 40}
        answer |= {"files": [], "subFolders": [], "symbolicLinks": [], "subModules": []}
        folders = sorted({path[len(start) :].split("/")[0] for path in below if "/" in path[len(start) :]})
        for name in folders:
            path = {"absolutePath": start + name, "relativePath": name}
            answer["subFolders"].append({**path, "treeId": git_blob(name.encode())})
        for path, (mode, content) in below.items():
            if "/" in path[len(start) :]:
                continue
            one = {"absolutePath": path, "relativePath": path[len(start) :]}
            if mode == "MODULE":
                answer["subModules"].append({**one, "commitId": "1" * 40})
            else:
                key = "symbolicLinks" if mode == "SYMLINK" else "files"
                answer[key].append({**one, "blobId": git_blob(content), "fileMode": mode})
        return answer

    def _CreateBranch(self, repositoryName: str, branchName: str, commitId: str) -> None:
        repo = self._repo(repositoryName)
        if branchName in repo.branches:
            raise Refused("BranchNameExistsException")
        if commitId not in repo.commits:
            raise Refused("CommitDoesNotExistException")
        self.written.append(branchName)
        repo.branches[branchName] = commitId

    def _CreateCommit(
        self,
        repositoryName: str,
        branchName: str,
        parentCommitId: str,
        commitMessage: str,
        putFiles: list[dict[str, Any]] = [],  # noqa: B006 (as botocore hands them over)
        deleteFiles: list[dict[str, Any]] = [],  # noqa: B006
        setFileModes: list[dict[str, Any]] = [],  # noqa: B006
        **_: Any,
    ) -> dict[str, Any]:
        repo = self._repo(repositoryName)
        if branchName not in repo.branches:
            raise Refused("BranchDoesNotExistException")
        if repo.branches[branchName] != parentCommitId:
            raise Refused("ParentCommitIdOutdatedException")
        entries = [*putFiles, *deleteFiles, *setFileModes]
        paths = [entry["filePath"] for entry in entries]
        if not entries:
            raise Refused("FileEntryRequiredException")
        if len(entries) > 100:
            raise Refused("MaximumFileEntriesExceededException")
        if len(set(paths)) < len(paths):
            raise Refused("SamePathRequestException")
        if sum(len(entry["fileContent"]) for entry in putFiles) > 7 * MB:
            raise Refused("FileContentSizeLimitExceededException")
        before = repo.tree(branchName)
        after = dict(before)
        for entry in deleteFiles:
            if entry["filePath"] not in before:
                raise Refused("FileDoesNotExistException")
            del after[entry["filePath"]]
        for entry in setFileModes:
            if before.get(entry["filePath"], ("", b""))[0] not in ("NORMAL", "EXECUTABLE"):
                raise Refused("FileDoesNotExistException")
            after[entry["filePath"]] = (entry["fileMode"], before[entry["filePath"]][1])
        for entry in putFiles:
            path = entry["filePath"]
            if not entry["fileContent"]:
                raise Refused("SourceFileOrContentRequiredException")
            if before.get(path, ("", b""))[0] == "MODULE":
                raise Refused("FilePathConflictsWithSubmodulePathException")
            _check_place(path, {**before, **{one["filePath"]: ("", b"") for one in putFiles}})
            after[path] = (entry["fileMode"], entry["fileContent"])
        if after == before:
            raise Refused("NoChangeException")
        self.written.append(branchName)
        return {"commitId": repo.add(branchName, after, commitMessage), "treeId": "0" * 40}

    def _ListPullRequests(self, repositoryName: str, pullRequestStatus: str, nextToken: str = "0") -> dict[str, Any]:
        self._repo(repositoryName)
        found = [
            one["pullRequestId"]
            for one in self.requests
            if one["pullRequestTargets"][0]["repositoryName"] == repositoryName
            and one["pullRequestStatus"] == pullRequestStatus
        ]
        start = int(nextToken)
        more = {"nextToken": str(start + self.page)} if start + self.page < len(found) else {}
        return {"pullRequestIds": found[start : start + self.page], **more}

    def _GetPullRequest(self, pullRequestId: str) -> dict[str, Any]:
        for one in self.requests:
            if one["pullRequestId"] == pullRequestId:
                return {"pullRequest": one}
        raise Refused("PullRequestDoesNotExistException")

    def _CreatePullRequest(
        self, title: str, description: str, targets: list[dict[str, str]], clientRequestToken: str
    ) -> dict[str, Any]:
        asked = (title, description, targets)
        if clientRequestToken in self.tokens:
            first, number = self.tokens[clientRequestToken]
            if first != asked:
                raise Refused("IdempotencyParameterMismatchException")
            return self._GetPullRequest(number)
        if len(title) > 100:
            raise Refused("InvalidTitleException")
        if len(description) > self.longest:
            raise Refused("InvalidDescriptionException")
        (target,) = targets
        repo = self._repo(target["repositoryName"])
        for reference in (target["sourceReference"], target["destinationReference"]):
            assert reference.startswith("refs/heads/")
            if reference.removeprefix("refs/heads/") not in repo.branches:
                raise Refused("ReferenceDoesNotExistException")
        number = self.request(target["repositoryName"], target["sourceReference"], target["destinationReference"])
        self.requests[-1] |= {"title": title, "description": description}
        self.tokens[clientRequestToken] = (asked, number)
        return self._GetPullRequest(number)

    def request(self, repository: str, source: str, destination: str = "refs/heads/main", status: str = "OPEN") -> str:
        """Add a pull request and give its number."""
        number = str(len(self.requests) + 1)
        target = {"repositoryName": repository, "sourceReference": source, "destinationReference": destination}
        known: dict[str, Any] = {"pullRequestId": number, "pullRequestStatus": status, "pullRequestTargets": [target]}
        self.requests.append(known)
        return number


def _check_place(path: str, present: Mapping[str, Any]) -> None:
    parts = path.split("/")
    if any("/".join(parts[:depth]) in present for depth in range(1, len(parts))):
        raise Refused("DirectoryNameConflictsWithFileNameException")
    if any(one.startswith(f"{path}/") for one in present):
        raise Refused("FileNameConflictsWithDirectoryNameException")
