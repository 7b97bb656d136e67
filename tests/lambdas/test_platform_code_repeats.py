"""Whatever interrupts a delivery, the repeat ends where an undisturbed one ends; and any trees come out as planned."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.lambdas.fake_codecommit import Repo, Tree, tree_of
from tests.lambdas.fake_service import Refused
from tests.lambdas.platform_scene import BRANCH, CICD, NEW, OLD, Scene

BEFORE = {"a": b"1", **{f"old/{number}": b"o" for number in range(4)}}
AFTER = {"a": b"2", **{f"jobs/{number}": b"n" for number in range(5)}}
ALL = 10  # changes from one to the other
CALLS = 15  # of an undisturbed delivery in commits of two files


@pytest.fixture
def changes(load: Callable[[str, str], ModuleType]) -> Any:
    return load("platform_code", "changes")


@pytest.fixture
def scene(load: Callable[[str, str], ModuleType], server: Any, context: Any, request_event: Any, log: Any) -> Scene:
    return Scene(load("platform_code", "handler"), server, context, request_event, log)


@pytest.fixture
def small(changes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a commit take two files only, so that small trees take several."""
    monkeypatch.setattr(changes, "MOST_IN_COMMIT", 2)


def _is_delivered(scene: Scene, commits: int = ALL // 2) -> None:
    assert scene.repo.tree(BRANCH) == tree_of(AFTER)
    assert len(scene.repo.line(BRANCH)) - len(scene.repo.line("main")) == commits
    (request,) = scene.code.requests
    assert request["pullRequestStatus"] == "OPEN"


class TestRepeat:
    def test_the_same_event_again(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)
        assert scene.update() == f"{CICD}: pull request 1"
        written = list(scene.code.written)
        assert scene.update() == f"{CICD}: pull request 1 was made before"
        assert scene.code.written == written
        assert len(scene.code.requests) == 1

    @pytest.mark.usefixtures("small")
    @pytest.mark.parametrize(
        "code", ["ThrottlingException", "EncryptionKeyUnavailableException", "AccessDeniedException"]
    )
    @pytest.mark.parametrize("number", range(ALL // 2))
    def test_after_a_fault_between_commits(self, scene: Scene, number: int, code: str) -> None:
        scene.seeded(BEFORE, AFTER)
        scene.code.fails["CreateCommit"] = [*[None] * number, Refused(code, "not now")]
        reason = scene.fails()
        assert reason.startswith(f"NotDeliveredEverywhere: {CICD}: ")
        assert f"An error occurred ({code})" in reason
        assert reason.endswith("not now. Mend this and repeat the update: it goes on where it was.")
        assert len(scene.repo.line(BRANCH)) - 1 == number
        assert scene.code.requests == []
        scene.update()
        _is_delivered(scene)

    @pytest.mark.usefixtures("small")
    def test_how_many_calls_the_next_tests_disturb(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)
        scene.update()
        _is_delivered(scene)
        assert len(scene.code.calls) == CALLS

    @pytest.mark.usefixtures("small")
    @pytest.mark.parametrize(
        ("place", "lost"), [*((place, False) for place in range(CALLS)), *((place, True) for place in range(CALLS - 1))]
    )
    def test_after_a_fault_at_any_call(self, scene: Scene, place: int, lost: bool) -> None:
        """`lost`: the call had its effect and the answer got lost; one of the calls is refused, as there is no branch yet."""
        scene.seeded(BEFORE, AFTER)
        count = iter(range(1000))

        def fault(_operation: str) -> None:
            if next(count) == place:
                raise Refused("InternalFailure", status=500)

        setattr(scene.code, "after" if lost else "before", fault)
        assert "InternalFailure" in scene.fails()
        scene.code.before = scene.code.after = lambda _operation: None
        scene.update()
        _is_delivered(scene)

    def test_one_repository_s_fault_holds_no_other_up(self, scene: Scene) -> None:
        other = "seedcode-repo-0a1b2c3d"
        scene.names = [CICD, other]
        for name in scene.names:
            scene.seeded(BEFORE, AFTER, name=name)
        scene.code.fails["CreateBranch"] = [Refused("ThrottlingException")]
        assert scene.fails().startswith(f"NotDeliveredEverywhere: {CICD}: ClientError: ")
        assert scene.code.repos[other].tree(BRANCH) == tree_of(AFTER)
        assert scene.update() == f"{CICD}: pull request 2; {other}: pull request 1 was made before"

    def test_a_function_that_has_no_time(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)
        scene.code.before = lambda operation: time.sleep(5) if operation == "CreateCommit" else None
        body = scene.send("Update", scene.properties(NEW), scene.properties(OLD), seconds=0.6)
        scene.code.before = lambda _operation: None
        assert (body["Status"], "time limit" in body["Reason"]) == ("FAILED", True)
        scene.update()
        _is_delivered(scene, commits=1)

    def test_botocore_repeats_what_is_throttled(self, scene: Scene) -> None:
        for client in (scene.module.CODECOMMIT, scene.module.S3):
            assert client.meta.config.retries == {"mode": "standard", "total_max_attempts": 6}

    def test_main_went_on_meanwhile(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)
        scene.code.fails["CreateCommit"] = [Refused("ThrottlingException")]
        scene.fails()
        base = scene.repo.branches[BRANCH]
        scene.add({"a": ("NORMAL", b"ours")})
        scene.update()
        assert scene.repo.line(BRANCH)[1] == base
        assert scene.repo.tree(BRANCH) == tree_of(AFTER)
        assert "- a" in scene.code.requests[0]["description"]  # of main as it is now

    def test_people_work_on_the_branch_of_a_pull_request(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)
        scene.update()
        own = {**scene.repo.tree(BRANCH), "a": ("NORMAL", b"merged by hand")}
        scene.repo.add(BRANCH, own)
        scene.update()
        assert scene.repo.tree(BRANCH) == own

    @pytest.mark.parametrize("keeps_the_branch", [True, False])
    def test_a_pull_request_that_was_decided(self, scene: Scene, keeps_the_branch: bool) -> None:
        scene.seeded(BEFORE, AFTER)
        scene.update()
        scene.code.requests[0]["pullRequestStatus"] = "CLOSED"
        if not keeps_the_branch:
            del scene.repo.branches[BRANCH]
        branches = dict(scene.repo.branches)
        assert scene.update() == f"{CICD}: pull request 1 was decided and is closed"
        assert scene.repo.branches == branches

    def test_an_update_that_was_rolled_back_and_comes_again(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)
        scene.update()
        assert scene.update(OLD, NEW) == "nothing done: 0.2.0 is not newer than 0.3.0"
        assert scene.update() == f"{CICD}: pull request 1 was made before"
        _is_delivered(scene, commits=1)

    def test_many_pull_requests(self, scene: Scene) -> None:
        """It finds its own among the newest, and does not read thousands."""
        scene.seeded(BEFORE, AFTER)
        for number in range(400):
            scene.code.request(CICD, f"refs/heads/feature-{number}", status="OPEN" if number % 2 else "CLOSED")
        assert scene.update() == f"{CICD}: pull request 401"
        assert scene.code.calls.count("GetPullRequest") == 150
        assert scene.update() == f"{CICD}: pull request 401 was made before"

    def test_a_pull_request_that_goes_while_it_is_listed(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)
        scene.code.request(CICD, f"refs/heads/{BRANCH}")
        scene.code.fails["GetPullRequest"] = [Refused("PullRequestDoesNotExistException")]
        assert scene.update() == f"{CICD}: pull request 2"

    def test_the_same_branch_elsewhere_is_not_ours(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)
        scene.code.request(CICD, f"refs/heads/{BRANCH}", "refs/heads/release")
        assert scene.update() == f"{CICD}: pull request 2"


class TestTwoAtOnce:
    @pytest.mark.usefixtures("small")
    @pytest.mark.parametrize("place", range(CALLS))
    def test_another_invocation_at_any_call(self, scene: Scene, place: int) -> None:
        """Lambda may deliver an event twice; the other invocation does all of it between two calls of this one."""
        scene.seeded(BEFORE, AFTER)
        count = iter(range(1000))
        other: list[Any] = []

        def interrupt(_operation: str) -> None:
            if next(count) == place:
                scene.code.before = lambda _operation: None
                release, before = (scene.module.read(scene.properties(version)) for version in (NEW, OLD))
                other.append(scene.module._deliver(release, before))

        scene.code.before = interrupt
        scene.update()
        assert other
        _is_delivered(scene)

    @pytest.mark.usefixtures("small")
    def test_somebody_adds_a_commit_to_the_branch(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)

        def interrupt(operation: str) -> None:
            if operation == "CreateCommit" and len(scene.repo.line(BRANCH)) == 3:
                scene.repo.add(BRANCH, {**scene.repo.tree(BRANCH), "theirs": ("NORMAL", b"x")})

        scene.code.before = interrupt
        assert scene.update() == f"{CICD}: pull request 1"
        assert scene.repo.tree(BRANCH) == {**tree_of(AFTER), "theirs": ("NORMAL", b"x")}

    @pytest.mark.parametrize("code", ["ParentCommitIdOutdatedException", "NoChangeException"])
    def test_it_gives_up_when_it_never_ends(self, scene: Scene, code: str) -> None:
        scene.seeded(BEFORE, AFTER)
        scene.code.fails["CreateCommit"] = [Refused(code)] * 5
        assert scene.fails().startswith(
            f"NotDeliveredEverywhere: {CICD}: OtherCommit: {BRANCH} of {CICD} got other commits"
        )
        scene.update()
        _is_delivered(scene, commits=1)

    @pytest.mark.usefixtures("small")
    def test_the_branch_is_deleted_meanwhile(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)

        def interrupt(operation: str) -> None:
            if operation == "CreateCommit" and len(scene.repo.line(BRANCH)) == 3:
                del scene.repo.branches[BRANCH]
                scene.code.before = lambda _operation: None

        scene.code.before = interrupt
        assert "BranchDoesNotExistException" in scene.fails()
        scene.update()
        _is_delivered(scene)


PATHS = st.sampled_from(["a", "a/b", "a/b/c", "d/e", "d/f", "g", "h/i/j", "h/k", "h/i", "l/m/n/o"])
ENTRIES = st.tuples(st.sampled_from(["NORMAL", "EXECUTABLE"]), st.sampled_from([b"1", b"2", b"3"]))
OURS = ENTRIES | st.sampled_from([("SYMLINK", b"1"), ("SYMLINK", b"/x"), ("MODULE", b""), None])


def _fit(pairs: Mapping[str, Any]) -> Tree:
    """Leave out what would be a file and a folder at once; the later one wins."""
    kept: Tree = {}
    for path, entry in reversed(pairs.items()):
        if entry and not any(path.startswith(f"{one}/") or one.startswith(f"{path}/") for one in kept):
            kept[path] = entry
    return kept


TREES = st.dictionaries(PATHS, ENTRIES, min_size=1).map(_fit)


def _expected(main: Tree, old: Tree, new: Tree) -> Tree:
    """Say in the plainest words what the branch has to hold."""
    result = dict(main)
    for path in old.keys() - new.keys():
        if path in main and main[path][0] in ("NORMAL", "EXECUTABLE") and main[path][1] == old[path][1]:
            del result[path]
    left = dict(result)
    for path, entry in new.items():
        clash = [one for one in left if one.startswith(f"{path}/") or path.startswith(f"{one}/")]
        if entry != old.get(path) and not clash and left.get(path, ("",))[0] != "MODULE":
            result[path] = entry
    return result


@pytest.mark.usefixtures("small")
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=TREES, new=TREES, work=st.dictionaries(PATHS, OURS), faults=st.lists(st.integers(0, 25), max_size=3))
def test_any_trees(scene: Scene, old: Tree, new: Tree, work: Mapping[str, Any], faults: list[int]) -> None:
    main = _fit({**old, **work})
    repo = scene.code.repos[CICD] = Repo()
    for version, tree in ((OLD, old), (NEW, new)):
        executable = tuple(path for path, (mode, _) in tree.items() if mode == "EXECUTABLE")
        scene.publish(version, {path: content for path, (_, content) in tree.items()}, executable)
    start = repo.add("main", main)
    scene.code.requests.clear()
    scene.code.tokens.clear()
    for fault in faults:
        _send_with_fault(scene, fault)
    scene.update()
    assert repo.branches["main"] == start
    assert repo.commits[start].tree == main
    expected = _expected(main, old, new)
    if expected == main:
        assert list(repo.branches) == ["main"]
        assert scene.code.requests == []
    else:
        assert repo.tree(BRANCH) == expected
        assert repo.line(BRANCH)[-1] == start
        assert len(scene.code.requests) == 1
    known = (dict(repo.branches), len(scene.code.requests))
    scene.update()
    assert (dict(repo.branches), len(scene.code.requests)) == known


def _send_with_fault(scene: Scene, place: int) -> None:
    count = iter(range(1000))

    def fault(_operation: str) -> None:
        if next(count) == place:
            raise Refused("ThrottlingException")

    scene.code.before = fault
    scene.send("Update", scene.properties(NEW), scene.properties(OLD))
    scene.code.before = lambda _operation: None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deletes=st.sets(PATHS),
    puts=st.dictionaries(PATHS, st.integers(1, 6 * 1024 * 1024)),
    more=st.integers(0, 300),
    size=st.sampled_from([1, 100_000]),
)
def test_any_batches(changes: Any, deletes: set[str], puts: dict[str, int], more: int, size: int) -> None:
    asked = [changes.Change(changes.Kind.DELETE, path) for path in sorted(deletes)]
    asked += [
        changes.Change(changes.Kind.PUT, path, size=length) for path, length in puts.items() if path not in deletes
    ]
    asked += [changes.Change(changes.Kind.PUT, f"more/{number}", size=size) for number in range(more)]
    found = list(changes.batches(asked))
    assert [change for batch in found for change in batch] == asked
    for batch in found:
        assert 1 <= len(batch) <= 100
        assert len(batch) == 1 or sum(change.size for change in batch) <= 5 * 1024 * 1024
        gone = {change.path for change in batch if change.kind is changes.Kind.DELETE}
        for change in batch:
            if change.kind is changes.Kind.PUT:
                assert not any(change.path.startswith(f"{one}/") or one.startswith(f"{change.path}/") for one in gone)
