"""Bring a new version into one repository: a branch from main's newest commit, commits, a pull request. All can be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from changes import Plan, Step, batches, plan, step
from repository import NothingThere, NotMade, OtherCommit, PullRequest, Repository
from seeds import File, Seed
from versions import Release
from words import description, message, title

ATTEMPTS = 5  # when others add commits to the branch at the same time


@dataclass(frozen=True)
class Outcome:
    """What one repository got. `decision` is a word for the log, `told` a sentence for people."""

    decision: str
    told: str
    pull_request: str = ""
    commits: int = 0


def deliver(repository: Repository, release: Release, before: str, old: Mapping[str, File], new: Seed) -> Outcome:
    """Bring what differs between two seeds; `before` is the version of the old one. Raises ClientError and OtherCommit.

    The pull request comes last: while there is none, a repeat goes on with the branch where it was.
    """
    between = step(old, new.files)
    try:
        start = repository.main()
        aim = plan(repository.tree(start, between.wanted), between)
        if not aim.changes:
            return _nothing(aim)
        requests = repository.pull_requests()
        if made := next((one for one in requests if one.branch == release.branch), None):
            return _made(made)
        head = repository.head(release.branch) or repository.make_branch(release.branch, start)
        commits = _commit(repository, release, before, between, new, head)
        earlier = [one.number for one in reversed(requests) if one.is_open]
        text = description(release.version, before, aim, earlier)
        number = repository.request_pull(release.branch, title(release.version, aim), text)
    except NothingThere as error:
        return Outcome("passed-over", f"nothing done, {error}")
    except NotMade as error:
        return Outcome("no-pull-request", str(error))
    return Outcome("delivered", f"pull request {number}", number, commits)


def _commit(repository: Repository, release: Release, before: str, between: Step, new: Seed, head: str) -> int:
    """Add what the branch lacks and give the number of commits."""
    commits = 0
    for attempt in range(ATTEMPTS):
        lacks = plan(repository.tree(head, between.wanted), between)
        try:
            for batch in batches(lacks.changes):
                head = repository.commit(release.branch, head, batch, new, message(release.version, before, batch))
                commits += 1
        except OtherCommit:
            found = repository.head(release.branch)
            if attempt == ATTEMPTS - 1 or found is None:
                raise
            head = found
        else:
            break
    return commits


def _nothing(aim: Plan) -> Outcome:
    if aim.in_the_way or aim.kept:
        left = ", ".join((*aim.in_the_way, *aim.kept)[:5])
        return Outcome("up-to-date", f"nothing to bring; look at {left}, which differ from the new version")
    return Outcome("up-to-date", "nothing to bring, main has it all")


def _made(request: PullRequest) -> Outcome:
    if request.is_open:
        return Outcome("made-before", f"pull request {request.number} was made before", request.number)
    return Outcome("made-before", f"pull request {request.number} was decided and is closed", request.number)
