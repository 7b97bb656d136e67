"""Pull requests: made, shown and closed by what their branches come to. Merging is left to git clients."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from rehearsal.acting import moment, now
from rehearsal.services import Call, Json, ServiceError, page

if TYPE_CHECKING:
    from rehearsal.code.repositories import Repositories


class PullRequests:
    """The operations on pull requests, a part of CodeCommit."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories
        self._requests: dict[str, Json] = {}

    def create_pull_request(self, call: Call) -> Json:
        given, target = call.request, call.request["targets"][0]
        if len(given["targets"]) != 1:
            raise ServiceError("MultipleRepositoriesInPullRequestException", "Name one target: a pull request has one.")
        repository = self._repositories.allowed(call, name=target["repositoryName"])
        token = given.get("clientRequestToken") or str(uuid.uuid4())
        for known in self._requests.values():
            if known["_token"] == (repository.id, token):
                return {"pullRequest": self._current(known)}
        source, destination = (
            target["sourceReference"],
            target.get("destinationReference") or self._repositories.default(repository),
        )
        for name in (source, destination):
            if repository.git.find(name) is None:
                raise ServiceError("ReferenceDoesNotExistException", f"{repository.name} has no {name}. Push it first.")
        made = {
            "pullRequestId": str(len(self._requests) + 1),
            "title": given["title"],
            "description": given.get("description"),
            "creationDate": now(),
            "lastActivityDate": now(),
            "pullRequestStatus": "OPEN",
            "authorArn": call.caller.arn,
            "clientRequestToken": given.get("clientRequestToken"),
            "revisionId": uuid.uuid4().hex * 2,
            "approvalRules": [],
            "_token": (repository.id, token),
            "_repository": repository,
            "_references": (_full(source), _full(destination)),
        }
        self._requests[made["pullRequestId"]] = made
        shown = self._current(made)
        detail = {
            "event": "pullRequestCreated",
            "pullRequestId": made["pullRequestId"],
            "pullRequestStatus": "Open",
            "repositoryNames": [repository.name],
            "title": made["title"],
            "author": call.caller.arn,
            "callerUserArn": call.caller.arn,
            "isMerged": "False",
            "creationDate": moment(made["creationDate"]),
            "lastModifiedDate": moment(made["creationDate"]),
            "revisionId": made["revisionId"],
            **{key: shown["pullRequestTargets"][0][key] for key in
               ("sourceReference", "destinationReference", "sourceCommit", "destinationCommit")},
        }  # fmt: skip
        repository.place.tell("aws.codecommit", "CodeCommit Pull Request State Change", [repository.arn], detail)
        return {"pullRequest": shown}

    def get_pull_request(self, call: Call) -> Json:
        made = self._requests.get(call.request["pullRequestId"])
        if made is None:
            raise ServiceError(
                "PullRequestDoesNotExistException", f"There is no {call.request['pullRequestId']}. List them."
            )
        self._repositories.allowed(call, name=made["_repository"].name)
        return {"pullRequest": self._current(made)}

    def list_pull_requests(self, call: Call) -> Json:
        repository, status = self._repositories.allowed(call), call.request.get("pullRequestStatus")
        found = [self._current(made) for made in self._requests.values() if made["_repository"].id == repository.id]
        numbers = [one["pullRequestId"] for one in found if status in (None, one["pullRequestStatus"])]
        rows, token = page(numbers, call.request.get("maxResults", 100), call.request.get("nextToken"))
        return {"pullRequestIds": rows, "nextToken": token}

    def _current(self, made: Json) -> Json:
        """Bring a pull request to what its branches have come to; one whose commits are all in is merged."""
        repository, (source, destination) = made["_repository"], made["_references"]
        tips = [repository.git.find(name) or "" for name in (source, destination)]
        base = repository.git.text("merge-base", *tips) if all(tips) else ""
        is_merged = bool(base) and base == tips[0]
        if is_merged:
            made["pullRequestStatus"] = "CLOSED"
        target = {
            "repositoryName": repository.name,
            "sourceReference": source,
            "destinationReference": destination,
            "sourceCommit": tips[0],
            "destinationCommit": tips[1],
            "mergeBase": base,
            "mergeMetadata": {"isMerged": is_merged},
        }
        return {
            **{key: value for key, value in made.items() if not key.startswith("_")},
            "pullRequestTargets": [target],
        }


def _full(name: str) -> str:
    return name if name.startswith("refs/") else f"refs/heads/{name}"
