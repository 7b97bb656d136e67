"""One CodeCommit repository: read a branch, add commits to it, find and make a pull request. Never writes to main."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from changes import FOLDER, LINK, MODULE, Change, Item, Kind, folders
from seeds import Seed
from versions import PlatformCodeError

MAIN, OURS = "main", "platform/"
REFERENCE = "refs/heads/"
AUTHOR = "MLOps platform"
# Pull requests that are looked at, the newest first: a repository may have thousands, and each takes a call.
MOST_OPEN, MOST_CLOSED = 100, 50
# The description of the parameter and that of the error differ about the most characters:
# https://docs.aws.amazon.com/codecommit/latest/APIReference/API_CreatePullRequest.html
LONGEST, LONGEST_AT_WORST = 10_000, 1_000


class NothingThere(PlatformCodeError):
    """There is no repository, or it has no main: nobody works with what this function would bring."""


class NotMade(PlatformCodeError):
    """The repository takes no further pull request."""


class OtherCommit(PlatformCodeError):
    """Somebody else added a commit to the branch meanwhile."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request into main."""

    number: str
    branch: str
    is_open: bool


class Repository:
    """A repository by its name. Methods raise NothingThere when it is gone, and ClientError."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self.name = client, name

    def main(self) -> str:
        """Give the id of the newest commit on main. Raises NothingThere."""
        commit = self.head(MAIN)
        if commit is None:
            raise NothingThere(f"it has no branch {MAIN}")
        return commit

    def head(self, branch: str) -> str | None:
        """Give the id of the newest commit on a branch; None when there is no such branch."""
        try:
            found: str = self._client.get_branch(repositoryName=self.name, branchName=branch)["branch"]["commitId"]
        except ClientError as error:
            if _code(error) == "RepositoryDoesNotExistException":
                raise NothingThere("it is no more") from error
            if _code(error) == "BranchDoesNotExistException":
                return None
            raise
        return found

    def tree(self, commit: str, paths: Iterable[str]) -> dict[str, Item]:
        """Give what lies in the root and in the folders above some paths; other folders are only named."""
        wanted, found, ahead = set(folders(paths)), dict[str, Item](), [""]
        while ahead:
            answer = self._client.get_folder(repositoryName=self.name, commitSpecifier=commit, folderPath=ahead.pop())
            for file in answer.get("files", []):
                found[file["absolutePath"]] = Item(file["fileMode"], file["blobId"])
            for link in answer.get("symbolicLinks", []):
                found[link["absolutePath"]] = Item(LINK, link["blobId"])
            for module in answer.get("subModules", []):
                found[module["absolutePath"]] = Item(MODULE)
            for folder in answer.get("subFolders", []):
                if folder["absolutePath"] in wanted:
                    ahead.append(folder["absolutePath"])
                else:
                    found[folder["absolutePath"]] = Item(FOLDER)
        return found

    def make_branch(self, branch: str, commit: str) -> str:
        """Begin a branch at a commit and give its newest commit, which is another one when somebody was faster."""
        try:
            self._client.create_branch(repositoryName=self.name, branchName=_ours(branch), commitId=commit)
        except ClientError as error:
            if _code(error) != "BranchNameExistsException":
                raise
            return self.head(branch) or commit
        return commit

    def commit(self, branch: str, parent: str, batch: Iterable[Change], seed: Seed, message: str) -> str:
        """Add one commit and give its id. Raises OtherCommit when `parent` is not the newest any more."""
        entries: dict[str, list[dict[str, Any]]] = {}
        for change in batch:
            entry: dict[str, Any] = {"filePath": change.path}
            if change.kind is not Kind.DELETE:
                entry["fileMode"] = change.mode
            if change.kind is Kind.PUT:
                entry["fileContent"] = seed.content(change.path)
            entries.setdefault(change.kind.value, []).append(entry)
        try:
            made: str = self._client.create_commit(
                repositoryName=self.name,
                branchName=_ours(branch),
                parentCommitId=parent,
                authorName=AUTHOR,
                commitMessage=message,
                keepEmptyFolders=False,
                **entries,
            )["commitId"]
        except ClientError as error:
            # Also when botocore repeats a call whose answer got lost.
            if _code(error) in ("ParentCommitIdOutdatedException", "NoChangeException"):
                raise OtherCommit(f"{branch} of {self.name} got other commits: repeat the update.") from error
            raise
        return made

    def pull_requests(self) -> list[PullRequest]:
        """Give the newest pull requests into main of branches that this function makes, the newest first."""
        found = [
            one
            for status, most in (("OPEN", MOST_OPEN), ("CLOSED", MOST_CLOSED))
            for number in self._numbers(status)[:most]
            if (one := self._pull_request(number))
        ]
        return sorted(found, key=lambda one: _newest(one.number))

    def request_pull(self, branch: str, title: str, text: str) -> str:
        """Ask to merge the branch into main and give the number. Raises NotMade when there are too many already."""
        try:
            return self._request_pull(branch, title, text[:LONGEST])
        except ClientError as error:
            if _code(error) == "InvalidDescriptionException":
                return self._request_pull(branch, title, text[:LONGEST_AT_WORST])
            if _code(error) == "MaximumOpenPullRequestsExceededException":
                raise NotMade(
                    f"it has too many open pull requests: close some, and make one of {branch} into {MAIN}"
                ) from error
            raise

    def _request_pull(self, branch: str, title: str, text: str) -> str:
        target = {
            "repositoryName": self.name,
            "sourceReference": f"{REFERENCE}{_ours(branch)}",
            "destinationReference": f"{REFERENCE}{MAIN}",
        }
        # The same call again gives the same pull request, when two invocations get here at once.
        token = hashlib.sha256("|".join((self.name, branch, title, text)).encode()).hexdigest()
        answer = self._client.create_pull_request(
            title=title, description=text, targets=[target], clientRequestToken=token
        )
        return str(answer["pullRequest"]["pullRequestId"])

    def _numbers(self, status: str) -> list[str]:
        pages = self._client.get_paginator("list_pull_requests").paginate(
            repositoryName=self.name, pullRequestStatus=status
        )
        return sorted((number for page in pages for number in page["pullRequestIds"]), key=_newest)

    def _pull_request(self, number: str) -> PullRequest | None:
        try:
            facts = self._client.get_pull_request(pullRequestId=number)["pullRequest"]
        except ClientError as error:
            if _code(error) == "PullRequestDoesNotExistException":
                return None
            raise
        for target in facts.get("pullRequestTargets", []):
            into_main = target.get("destinationReference", "").removeprefix(REFERENCE) == MAIN
            branch = target.get("sourceReference", "").removeprefix(REFERENCE)
            if into_main and branch.startswith(OURS) and target.get("repositoryName") == self.name:
                return PullRequest(number, branch, facts.get("pullRequestStatus") == "OPEN")
        return None


def _newest(number: str) -> tuple[int, str]:
    # They count upwards; an id that is no number comes first.
    return (-int(number) if number.isdecimal() else -(10**18), number)


def _ours(branch: str) -> str:
    """Give the branch back, which must be one that this function makes: it has no business on any other."""
    if not branch.startswith(OURS):
        raise AssertionError(f"{branch} is not below {OURS}")
    return branch


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
