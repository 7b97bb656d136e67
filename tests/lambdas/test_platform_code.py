"""A new version comes to people's repositories as a branch and a pull request, once, and main is theirs alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.lambdas.fake_codecommit import MB, tree_of, zipped
from tests.lambdas.fake_service import Refused
from tests.lambdas.platform_scene import BRANCH, BUCKET, CICD, NEW, OLD, Scene, key

BEFORE = {"README.md": b"old\n", "run.py": b"run\n", "jobs/validate/job.py": b"v1\n", "jobs/gone/job.py": b"gone\n"}
AFTER = {"README.md": b"new\n", "run.py": b"run\n", "jobs/validate/job.py": b"v2\n", "jobs/fresh/job.py": b"fresh\n"}
OTHER = "seedcode-repo-0a1b2c3d"


@pytest.fixture
def scene(load: Callable[[str, str], ModuleType], server: Any, context: Any, request_event: Any, log: Any) -> Scene:
    return Scene(load("platform_code", "handler"), server, context, request_event, log)


@pytest.fixture(autouse=True)
def main_is_never_written(scene: Scene) -> Iterator[None]:
    """In every test: main moves only by what the test itself adds, and no other branch than the version's is written."""
    yield
    assert {branch for branch in scene.code.written if not branch.startswith("platform/v")} == set()
    assert not {"PutFile", "DeleteFile", "DeleteBranch", "UpdateDefaultBranch"} & set(scene.code.calls)


class TestNewVersion:
    def test_a_branch_and_a_pull_request(self, scene: Scene, log: Any) -> None:
        repo = scene.seeded(BEFORE, AFTER)
        start = repo.branches["main"]
        assert scene.update() == f"{CICD}: pull request 1"
        assert repo.branches["main"] == start
        assert repo.tree(BRANCH) == tree_of(AFTER)
        assert repo.line(BRANCH)[1:] == repo.line("main")  # one commit more
        (request,) = scene.code.requests
        assert request["title"] == "Platform version 0.3.0"
        assert request["pullRequestTargets"] == [
            {
                "repositoryName": CICD,
                "sourceReference": f"refs/heads/{BRANCH}",
                "destinationReference": "refs/heads/main",
            }
        ]
        assert "3 files new or changed, 1 deleted" in request["description"]
        assert "no conflict" in request["description"]
        line = log.named("platform code")[0]
        assert (line["decision"], line["repository"], line["branch"]) == ("delivered", CICD, BRANCH)
        assert (line["pull_request"], line["commits"]) == ("1", 1)

    def test_what_the_version_does_not_change_is_left_to_its_people(self, scene: Scene) -> None:
        own = {**BEFORE, "run.py": b"our own\n", "jobs/ours/job.py": b"ours\n"}
        del own["jobs/gone/job.py"]
        repo = scene.seeded(BEFORE, AFTER, main=own)
        scene.update()
        assert repo.tree(BRANCH) == tree_of({**AFTER, "run.py": b"our own\n", "jobs/ours/job.py": b"ours\n"})
        assert "no conflict" in scene.code.requests[0]["description"]

    def test_the_executable_bit(self, scene: Scene) -> None:
        repo = scene.seeded({"run.sh": b"1", "was": b"x", "be": b"y"}, {"run.sh": b"2", "was": b"x", "be": b"y"})
        scene.publish(OLD, {"run.sh": b"1", "was": b"x", "be": b"y"}, ("was",))
        scene.publish(NEW, {"run.sh": b"2", "was": b"x", "be": b"y"}, ("run.sh", "be"))
        repo.add("main", tree_of({"run.sh": b"1", "was": b"x", "be": b"y"}, ("was",)))
        scene.update()
        modes = {path: mode for path, (mode, _) in repo.tree(BRANCH).items()}
        assert modes == {"run.sh": "EXECUTABLE", "was": "NORMAL", "be": "EXECUTABLE"}

    def test_a_seed_of_the_publisher(self, scene: Scene) -> None:
        from tools.publish.zips import Member, archive

        repo = scene.seeded(BEFORE, AFTER)
        members = {path: Member(content, path == "run.py") for path, content in AFTER.items()}
        scene.bucket.objects[BUCKET, key(CICD, NEW)] = archive(members)
        scene.update()
        assert repo.tree(BRANCH) == tree_of(AFTER, ("run.py",))

    def test_each_repository_gets_its_own(self, scene: Scene) -> None:
        scene.names = [CICD, OTHER]
        scene.seeded(BEFORE, AFTER)
        scene.seeded({"a": b"1"}, {"a": b"2"}, name=OTHER)
        assert scene.update() == f"{CICD}: pull request 1; {OTHER}: pull request 2"
        assert scene.code.repos[OTHER].tree(BRANCH) == tree_of({"a": b"2"})

    def test_more_than_one_commit_takes(self, scene: Scene) -> None:
        many = {f"jobs/{number}.py": b"%d" % number for number in range(1, 251)}
        repo = scene.seeded({"a": b"1", **{f"old/{number}": b"x" for number in range(60)}}, {"a": b"1", **many})
        scene.update()
        assert repo.tree(BRANCH) == tree_of({"a": b"1", **many})
        assert len(repo.line(BRANCH)) - len(repo.line("main")) == 4  # 310 changes

    def test_large_files_go_in_commits_of_their_own(self, scene: Scene) -> None:
        large = {f"data/{number}.csv": b"%d" % number * (3 * MB) for number in range(3)} | {"six": b"6" * (6 * MB)}
        scene.module.fetch.__globals__["LARGEST_ZIP"] = 20 * MB
        repo = scene.seeded({"a": b"1"}, {"a": b"1", **large})
        scene.update()
        assert repo.tree(BRANCH) == tree_of({"a": b"1", **large})
        assert len(repo.line(BRANCH)) == 5

    def test_a_file_becomes_a_folder_and_a_folder_a_file(self, scene: Scene) -> None:
        repo = scene.seeded({"a": b"1", "b/c": b"2", "b/d": b"3"}, {"a/x": b"4", "a/y/z": b"5", "b": b"6"})
        scene.update()
        assert repo.tree(BRANCH) == tree_of({"a/x": b"4", "a/y/z": b"5", "b": b"6"})


class TestWhatToLookAt:
    def _text(self, scene: Scene, heading: str) -> str:
        (request,) = scene.code.requests
        (found,) = [part for part in request["description"].split("\n\n") if part.startswith(heading)]
        return str(found)

    def test_files_that_both_sides_changed(self, scene: Scene) -> None:
        repo = scene.seeded(BEFORE, AFTER, main={**BEFORE, "README.md": b"ours\n", "jobs/fresh/job.py": b"also ours\n"})
        scene.update()
        assert repo.tree(BRANCH) == tree_of(AFTER)
        assert scene.code.requests[0]["title"] == "Platform version 0.3.0: 2 files to look at"
        told = self._text(scene, "Changed here as well.")
        assert told.endswith(":\n- README.md\n- jobs/fresh/job.py")

    def test_files_that_were_deleted_here_come_back(self, scene: Scene) -> None:
        repo = scene.seeded(BEFORE, AFTER, main={"run.py": b"run\n"})
        scene.update()
        assert repo.tree(BRANCH) == tree_of(AFTER)
        assert self._text(scene, "Deleted here").endswith(":\n- README.md\n- jobs/validate/job.py")

    def test_files_to_go_that_were_changed_here_stay(self, scene: Scene) -> None:
        repo = scene.seeded(BEFORE, AFTER, main={**BEFORE, "jobs/gone/job.py": b"we need it\n"})
        scene.update()
        assert repo.tree(BRANCH) == tree_of({**AFTER, "jobs/gone/job.py": b"we need it\n"})
        assert self._text(scene, "Gone in the new version").endswith(":\n- jobs/gone/job.py")

    @pytest.mark.parametrize(
        "theirs",
        [
            {"jobs/fresh": ("NORMAL", b"a file")},
            {"jobs/fresh/job.py/main.py": ("NORMAL", b"a folder")},
            {"jobs/fresh/job.py/deeper/main.py": ("NORMAL", b"a folder of folders")},
            {"jobs/fresh": ("SYMLINK", b"../elsewhere")},
            {"jobs/fresh": ("MODULE", b"")},
            {"jobs/fresh/job.py": ("MODULE", b"")},
        ],
    )
    def test_what_is_in_the_way_stays(self, scene: Scene, theirs: Any) -> None:
        repo = scene.seeded(BEFORE, AFTER)
        scene.add(theirs)
        scene.update()
        expected = tree_of({path: content for path, content in AFTER.items() if path != "jobs/fresh/job.py"})
        assert repo.tree(BRANCH) == {**expected, **theirs}
        assert self._text(scene, "Not brought").endswith(":\n- jobs/fresh/job.py")

    def test_a_link_in_place_of_a_file(self, scene: Scene) -> None:
        repo = scene.seeded(BEFORE, AFTER)
        scene.add({"README.md": ("SYMLINK", b"old\n"), "jobs/gone/job.py": ("SYMLINK", b"gone\n")})
        scene.update()
        assert repo.tree(BRANCH) == {**tree_of(AFTER), "jobs/gone/job.py": ("SYMLINK", b"gone\n")}
        assert scene.code.requests[0]["title"].endswith(": 2 files to look at")

    def test_earlier_versions_that_nobody_merged_come_first(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)
        for branch, status in [("v0.1.0", "CLOSED"), ("v0.2.0", "OPEN"), ("v0.2.1", "OPEN")]:
            scene.code.request(CICD, f"refs/heads/platform/{branch}", status=status)
        scene.code.request(CICD, "refs/heads/feature")
        scene.code.request(CICD, "refs/heads/platform/v0.2.2", "refs/heads/release")
        scene.update()
        assert "Merge first: pull request 2, pull request 3." in scene.code.requests[-1]["description"]

    @pytest.mark.parametrize("longest", [10_240, 1_000])
    def test_a_long_list_fits(self, scene: Scene, longest: int) -> None:
        paths = [f"jobs/{'x' * 200}{number}/{'y' * 200}.py" for number in range(80)]
        scene.seeded(dict.fromkeys(paths, b"1"), dict.fromkeys(paths, b"2"), main=dict.fromkeys(paths, b"3"))
        scene.code.longest = longest
        scene.update()
        assert scene.code.requests[0]["title"] == "Platform version 0.3.0: 80 files to look at"
        assert len(scene.code.requests[0]["description"]) <= longest


class TestNothingToBring:
    def test_create_and_delete(self, scene: Scene) -> None:
        for kind in ("Create", "Delete"):
            body = scene.send(kind, scene.properties(OLD))
            assert body["Status"] == "SUCCESS"
            assert body["Data"]["Told"].startswith("nothing done: ")
        assert scene.code.calls == scene.bucket.calls == []

    def test_the_physical_id_is_always_the_same(self, scene: Scene) -> None:
        first = scene.send("Create", scene.properties(OLD))["PhysicalResourceId"]
        assert scene.send("Create", scene.properties(NEW))["PhysicalResourceId"] == first

    @pytest.mark.parametrize(
        ("version", "before"),
        [
            (OLD, NEW),
            (OLD, OLD),
            ("0.9.0", "0.10.0"),
            ("1.0.0rc2", "1.0.0"),
            ("1.0.0.dev3", "1.0.0a1"),
            ("1.0.0b1", "1.0.0b1"),
        ],
    )
    def test_a_version_that_is_not_newer(self, scene: Scene, version: str, before: str) -> None:
        assert scene.update(version, before) == f"nothing done: {version} is not newer than {before}"
        assert scene.code.calls == scene.bucket.calls == []

    @pytest.mark.parametrize(
        ("version", "before"),
        [("0.10.0", "0.9.0"), ("1.0.0", "1.0.0rc2"), ("1.0.0rc10", "1.0.0rc9"), ("1.0.0a1", "1.0.0.dev3")],
    )
    def test_a_version_that_is_newer(self, scene: Scene, version: str, before: str) -> None:
        repo = scene.seeded(BEFORE, AFTER)
        scene.publish(before, BEFORE)
        scene.publish(version, AFTER)
        assert scene.update(version, before) == f"{CICD}: pull request 1"
        assert repo.tree(f"platform/v{version}") == tree_of(AFTER)

    def test_main_has_it_already(self, scene: Scene) -> None:
        repo = scene.seeded(BEFORE, AFTER, main={**AFTER, "own": b"own"})
        assert scene.update() == f"{CICD}: nothing to bring, main has it all"
        assert list(repo.branches) == ["main"]

    def test_only_what_no_commit_can_bring(self, scene: Scene) -> None:
        repo = scene.seeded({"a": b"1"}, {"a": b"1", "b/c": b"2"}, main={"a": b"1", "b": b"ours"})
        assert scene.update() == f"{CICD}: nothing to bring; look at b/c, which differ from the new version"
        assert list(repo.branches) == ["main"]

    def test_the_seed_did_not_change(self, scene: Scene) -> None:
        repo = scene.seeded(BEFORE, BEFORE, main={"other": b"x"})
        assert scene.update() == f"{CICD}: nothing to bring, main has it all"
        assert list(repo.branches) == ["main"]

    def test_a_repository_of_this_version(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)
        body = scene.send("Update", scene.properties(NEW, Repositories=[{"Name": "own", "Seed": "v1/seeds/own.zip"}]),
                          scene.properties(OLD))  # fmt: skip
        assert body["Data"]["Told"] == "own: nothing done, it begins with this version"
        assert scene.code.calls == scene.bucket.calls == []

    def test_a_rollback_from_refused_properties(self, scene: Scene) -> None:
        for refused in ({}, scene.properties("x"), scene.properties(NEW, Repositories="x"), None):
            body = scene.send("Update", scene.properties(OLD), refused)
            assert body["Data"]["Told"] == "nothing done: the properties before were none of a version"


class TestPassedOver:
    """Repositories are people's: what they deleted fails no stack."""

    def test_a_repository_that_is_gone(self, scene: Scene) -> None:
        scene.names = [CICD, OTHER]
        scene.seeded(BEFORE, AFTER)
        scene.seeded(BEFORE, AFTER, name=OTHER)
        del scene.code.repos[CICD]
        assert scene.update() == f"{CICD}: nothing done, it is no more; {OTHER}: pull request 1"

    @pytest.mark.parametrize("branches", [{}, {"trunk": "1" * 40}])
    def test_an_empty_repository_or_one_without_main(self, scene: Scene, branches: dict[str, str]) -> None:
        scene.seeded(BEFORE, AFTER).branches = branches
        assert scene.update() == f"{CICD}: nothing done, it has no branch main"
        assert scene.code.calls == ["GetBranch"]

    def test_too_many_open_pull_requests(self, scene: Scene) -> None:
        repo = scene.seeded(BEFORE, AFTER)
        scene.code.fails["CreatePullRequest"] = [Refused("MaximumOpenPullRequestsExceededException")]
        assert scene.update() == (
            f"{CICD}: it has too many open pull requests: close some, and make one of {BRANCH} into main"
        )
        assert repo.tree(BRANCH) == tree_of(AFTER)


class TestBadRelease:
    """What the maintainers got wrong fails before anything is written anywhere."""

    @pytest.mark.parametrize("version", [OLD, NEW])
    def test_a_seed_that_was_not_published(self, scene: Scene, version: str) -> None:
        scene.names = [CICD, OTHER]
        scene.seeded(BEFORE, AFTER)
        scene.seeded(BEFORE, AFTER, name=OTHER)
        del scene.bucket.objects[BUCKET, key(OTHER, version)]
        assert scene.fails() == (
            f"Unreadable: s3://{BUCKET}/v{version}/seeds/seedcode-repo.zip can't be read (NoSuchKey: The specified key does not "
            "exist.): check that this version was published there completely, and that the function's role and the bucket's "
            "policy allow s3:GetObject."
        )
        assert scene.code.calls == []

    def test_a_bucket_that_moved(self, scene: Scene) -> None:
        repo = scene.seeded(BEFORE, AFTER)
        body = scene.send("Update", scene.properties(NEW), scene.properties(OLD, Bucket="elsewhere-eu-central-1"))
        assert body["Data"]["Told"] == f"{CICD}: pull request 1"
        assert repo.tree(BRANCH) == tree_of(AFTER)

    @pytest.mark.parametrize("kind", ["Create", "Update"])
    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"Version": "0.3"}, "Version is missing"),
            ({"Version": "0.3.0/../main"}, "Version is missing"),
            ({"Version": None, "Bucket": "No"}, "Version is missing or no such thing; Bucket is missing"),
            ({"Repositories": []}, "Repositories is no list"),
            ({"Repositories": [{"Name": CICD, "Seed": "a.zip"}] * 11}, "Repositories is no list"),
            ({"Repositories": [{"Name": CICD, "Seed": "a.zip"}] * 2}, f"Repositories[1].Name {CICD} is given twice"),
            ({"Repositories": [CICD]}, "Repositories[0].Name is missing or no such thing; Repositories[0].Seed"),
            ({"Repositories": [{"Name": CICD, "Seed": "../a.zip"}]}, "Repositories[0].Seed is missing"),
            ({"Repositories": [{"Name": "a/b", "Seed": "a.zip"}]}, "Repositories[0].Name is missing"),
        ],
    )
    def test_bad_properties(self, scene: Scene, kind: str, changes: dict[str, Any], told: str) -> None:
        body = scene.send(kind, scene.properties(NEW, **changes), scene.properties(OLD))
        assert body["Status"] == "FAILED"
        assert body["Reason"].startswith(f"BadProperties: {told}")
        assert ": mend these properties in the template. (log" in body["Reason"]
        assert scene.code.calls == []

    def test_a_hostile_seed(self, scene: Scene) -> None:
        scene.seeded(BEFORE, AFTER)
        scene.bucket.objects[BUCKET, key(CICD, NEW)] = zipped({"../../main": b"x"})
        assert scene.fails().startswith(
            f"BadSeed: s3://{BUCKET}/{key(CICD, NEW)} holds the path '../../main', which leads"
        )
        assert scene.code.calls == []
