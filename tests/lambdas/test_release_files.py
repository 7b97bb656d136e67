"""Files of a release: all of them as they were published, or none."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

SOURCE, TARGET, ACCOUNT = "mlops-releases-eu-central-1", "churn-p-abc123", "111122223333"
KEY_ARN = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
START, LOADER, OTHER = b"#!/bin/bash\necho start\n", b"#!/bin/bash\nload\n", b"other"
LIMIT = 5 * 1024 * 1024


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def a_file(name: str, content: bytes, **more: Any) -> dict[str, Any]:
    return {"SourceKey": f"v1.0.0/{name}", "Sha256": sha256(content), "TargetKey": f"workspace/{name}"} | more


def plan(*files: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Build the properties of a request."""
    given = {"ServiceToken": "arn", "SourceBucket": SOURCE, "TargetBucket": TARGET, "KmsKeyArn": KEY_ARN}
    return {**given, "Files": list(files), **changes}


ONE = plan(a_file("start.sh", START))
TWO = plan(a_file("start.sh", START, Tags={"kind": "script", "a b": "c&d=é"}), a_file("loader.sh", LOADER))


class Store:
    """The stub of S3: announces what has to be called, in this order."""

    def __init__(self, client: Any) -> None:
        self.stub = Stubber(client)

    def reads(self, name: str, content: bytes) -> None:
        asked = {"Bucket": SOURCE, "Key": f"v1.0.0/{name}"}
        body = StreamingBody(io.BytesIO(content), len(content))
        self.stub.add_response("get_object", {"Body": body, "ContentLength": len(content)}, asked)

    def puts(self, name: str, content: bytes, bucket: str = TARGET, kms_key: str = KEY_ARN, **more: str) -> None:
        asked: dict[str, Any] = {
            "Bucket": bucket,
            "Key": f"workspace/{name}",
            "Body": content,
            "ExpectedBucketOwner": ACCOUNT,
            "ChecksumSHA256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
        }
        if kms_key:
            asked |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}
        self.stub.add_response("put_object", {"VersionId": "v"}, asked | more)

    def deletes(self, name: str, bucket: str = TARGET) -> None:
        asked = {"Bucket": bucket, "Key": f"workspace/{name}", "ExpectedBucketOwner": ACCOUNT}
        self.stub.add_response("delete_object", {"DeleteMarker": True}, asked)

    def lists(
        self,
        name: str,
        versions: Iterable[str] = (),
        markers: Iterable[str] = (),
        others: Iterable[str] = (),
        **more: Any,
    ) -> None:
        """Announce one page of versions; `others` are keys that only begin so, `more` is the page before's end and this one's."""
        end = {key: more.pop(key) for key in ("NextKeyMarker", "NextVersionIdMarker") if key in more}
        key = f"workspace/{name}"
        asked = {"Bucket": TARGET, "Prefix": key, "ExpectedBucketOwner": ACCOUNT, **more}
        own = [{"Key": key, "VersionId": version} for version in versions]
        page: dict[str, Any] = {"IsTruncated": bool(end), **end}
        # S3 leaves a list out that would be empty.
        if found := [*own, *({"Key": f"workspace/{other}", "VersionId": "theirs"} for other in others)]:
            page["Versions"] = found
        if gone := [{"Key": key, "VersionId": marker} for marker in markers]:
            page["DeleteMarkers"] = gone + [{"Key": f"workspace/{other}", "VersionId": "theirs"} for other in others]
        self.stub.add_response("list_object_versions", page, asked)

    def erases(self, name: str, *versions: str, refused: str = "", code: str = "") -> None:
        """Announce one call for all versions; S3 tells in its answer which it refused."""
        self.erases_all([(f"workspace/{name}", version) for version in versions], refused, code)

    def erases_all(self, found: Iterable[tuple[str, str]], refused: str = "", code: str = "") -> None:
        objects = [{"Key": key, "VersionId": version} for key, version in found]
        asked = {"Bucket": TARGET, "Delete": {"Objects": objects, "Quiet": True}, "ExpectedBucketOwner": ACCOUNT}
        errors = [one | {"Code": code, "Message": "Not here"} for one in objects if one["VersionId"] == refused]
        self.stub.add_response("delete_objects", {"Errors": errors} if errors else {}, asked)

    def fails(self, operation: str, code: str) -> None:
        self.stub.add_client_error(operation, code, "Not here", 403)


@pytest.fixture
def module(load: Callable[[str, str], ModuleType]) -> Any:
    return load("release_files", "handler")


@pytest.fixture
def store(module: Any) -> Iterator[Store]:
    found = Store(module.S3)
    with found.stub:
        yield found
        found.stub.assert_no_pending_responses()


class Asking:
    """Send requests and look at every answer."""

    def __init__(self, module: Any, server: Any, context: Any, request_event: Any) -> None:
        self._module, self._server, self._context, self._event = module, server, context, request_event

    def send(self, kind: str, properties: Any, old: Any = None, before: str | None = None) -> dict[str, Any]:
        event = self._event(kind, ResourceProperties=properties, LogicalResourceId="WorkspaceFiles")
        if kind == "Update":
            event["OldResourceProperties"] = old
        if before is not None:
            event["PhysicalResourceId"] = before
        self._module.handler(event, self._context(seconds=60.0))
        assert len(self._server.sent[-1].body) <= 4096
        body: dict[str, Any] = self._server.sent[-1].json
        return body

    def copies(self, kind: str, properties: Any, old: Any = None) -> str:
        """Give the physical id; the answer must be SUCCESS and count the files."""
        body = self.send(kind, properties, old, f"{TARGET}/WorkspaceFiles" if kind == "Update" else None)
        assert body["Status"] == "SUCCESS", body
        assert body["Data"] == {"Count": str(len(properties["Files"]))}
        own_id: str = body["PhysicalResourceId"]
        return own_id

    def fails(self, kind: str, properties: Any, old: Any = None) -> str:
        """Give the reason; the answer must be FAILED and, after Create, keep the physical id."""
        body = self.send(kind, properties, old)
        assert body["Status"] == "FAILED", body
        assert kind == "Create" or body["PhysicalResourceId"] == "given-id"
        reason: str = body["Reason"]
        return reason.split(" (log stream")[0]

    def deletes(self, properties: Any, before: str | None = None) -> None:
        body = self.send("Delete", properties, before=before)
        assert (body["Status"], body["Data"]) == ("SUCCESS", {}), body
        assert body["PhysicalResourceId"] == (before or "given-id")


@pytest.fixture
def ask(module: Any, server: Any, context: Any, request_event: Any) -> Asking:
    return Asking(module, server, context, request_event)


class TestCreate:
    def test_all_are_read_before_the_first_is_written(self, store: Store, ask: Asking, log: Any) -> None:
        store.reads("start.sh", START)
        store.reads("loader.sh", LOADER)
        store.puts("start.sh", START, Tagging="kind=script&a+b=c%26d%3D%C3%A9")
        store.puts("loader.sh", LOADER)
        assert ask.copies("Create", TWO) == f"{TARGET}/WorkspaceFiles"
        (line,) = log.named("files")
        assert (line["decision"], line["bucket"]) == ("copied", TARGET)
        assert line["copied"] == ["workspace/start.sh", "workspace/loader.sh"]

    @pytest.mark.parametrize("given", [{"KmsKeyArn": ""}, {}])
    def test_without_a_key_the_bucket_encrypts_its_own_way(
        self, store: Store, ask: Asking, given: dict[str, str]
    ) -> None:
        store.reads("start.sh", START)
        store.puts("start.sh", START, kms_key="")
        properties = {name: value for name, value in ONE.items() if name != "KmsKeyArn"}
        ask.copies("Create", properties | given)

    def test_a_repeated_event_writes_the_same_again(self, store: Store, ask: Asking) -> None:
        for _ in range(2):
            store.reads("start.sh", START)
            store.puts("start.sh", START)
        assert ask.copies("Create", ONE) == ask.copies("Create", ONE)

    @pytest.mark.parametrize("content", [b"", b"x" * LIMIT], ids=["empty", "largest"])
    def test_the_smallest_and_the_largest_file(self, store: Store, ask: Asking, content: bytes) -> None:
        store.reads("start.sh", content)
        store.puts("start.sh", content)
        ask.copies("Create", plan(a_file("start.sh", content)))

    def test_as_many_files_and_tags_as_there_may_be(self, store: Store, ask: Asking) -> None:
        tags = {f"k{number}": "v" * 256 for number in range(10)}
        files = [a_file(f"{number}.txt", OTHER, Tags=tags) for number in range(20)]
        for number in range(20):
            store.reads(f"{number}.txt", OTHER)
        for number in range(20):
            store.puts(f"{number}.txt", OTHER, Tagging="&".join(f"{key}={value}" for key, value in tags.items()))
        ask.copies("Create", plan(*files))


class TestNothingIsWritten:
    """The stub announces no put_object, so one would fail the test."""

    @pytest.mark.parametrize("kind", ["Create", "Update"])
    def test_when_a_file_is_not_the_published_one(self, store: Store, ask: Asking, kind: str) -> None:
        store.reads("start.sh", START)
        changed = LOADER + b"\n"
        store.reads("loader.sh", changed)
        reason = ask.fails(kind, TWO, ONE)
        assert reason == (
            f"WrongHash: s3://{SOURCE}/v1.0.0/loader.sh has the SHA-256 {sha256(changed)} instead of "
            f"{sha256(LOADER)}, and nothing was copied: take template and files from the same published version."
        )

    def test_when_a_file_is_too_large(self, store: Store, ask: Asking) -> None:
        content = b"x" * (LIMIT + 1)
        store.reads("start.sh", content)
        reason = ask.fails("Create", plan(a_file("start.sh", content)))
        assert reason == (
            f"TooLarge: s3://{SOURCE}/v1.0.0/start.sh is larger than {LIMIT} bytes: make it smaller and publish a new version."
        )

    @pytest.mark.parametrize("code", ["NoSuchKey", "AccessDenied", "NoSuchBucket", "SlowDown", "InternalError"])
    @pytest.mark.parametrize("kind", ["Create", "Update"])
    def test_when_a_file_cannot_be_read(self, store: Store, ask: Asking, kind: str, code: str) -> None:
        store.reads("start.sh", START)
        store.fails("get_object", code)
        reason = ask.fails(kind, TWO, ONE)
        assert reason.startswith(f"Unreadable: s3://{SOURCE}/v1.0.0/loader.sh can't be read ({code}: Not here): check")

    def test_when_reading_breaks_off(self, store: Store, ask: Asking) -> None:
        class Broken(io.BytesIO):
            def read(self, *_: Any) -> bytes:
                raise ReadTimeoutError(endpoint_url="https://s3")

        asked = {"Bucket": SOURCE, "Key": "v1.0.0/start.sh"}
        store.stub.add_response("get_object", {"Body": StreamingBody(Broken(), 5)}, asked)
        reason = ask.fails("Create", ONE)
        assert reason.startswith(f"Unreadable: s3://{SOURCE}/v1.0.0/start.sh can't be read (ReadTimeoutError: ")

    def test_when_a_file_ends_early(self, store: Store, ask: Asking) -> None:
        store.reads("start.sh", START[:-1])
        assert ask.fails("Create", ONE).startswith("WrongHash")


class TestUpdate:
    def test_what_is_no_longer_listed_goes_after_the_new_is_there(self, store: Store, ask: Asking, log: Any) -> None:
        store.reads("other.sh", OTHER)
        store.reads("start.sh", START)
        store.puts("other.sh", OTHER)
        store.puts("start.sh", START)
        store.deletes("loader.sh")
        assert ask.copies("Update", plan(a_file("other.sh", OTHER), a_file("start.sh", START)), TWO) == (
            f"{TARGET}/WorkspaceFiles"
        )
        assert log.named("files")[0]["removed"] == ["workspace/loader.sh"]

    def test_new_content_under_the_old_name(self, store: Store, ask: Asking) -> None:
        store.reads("start.sh", OTHER)
        store.puts("start.sh", OTHER)
        ask.copies("Update", plan(a_file("start.sh", OTHER)), ONE)

    def test_another_bucket_is_another_resource_and_its_files_are_left_to_the_delete(
        self, store: Store, ask: Asking
    ) -> None:
        moved = plan(a_file("other.sh", OTHER), TargetBucket="churn-p-new")
        store.reads("other.sh", OTHER)
        store.puts("other.sh", OTHER, bucket="churn-p-new")
        assert ask.copies("Update", moved, ONE) == "churn-p-new/WorkspaceFiles"
        store.lists("start.sh", ["v1"])
        store.erases("start.sh", "v1")
        ask.deletes(ONE, f"{TARGET}/WorkspaceFiles")

    def test_nothing_is_removed_when_writing_fails(self, store: Store, ask: Asking) -> None:
        store.reads("other.sh", OTHER)
        store.fails("put_object", "AccessDenied")
        assert ask.fails("Update", plan(a_file("other.sh", OTHER)), ONE) == (
            f"NotWritten: s3://{TARGET}/workspace/other.sh can't be changed (AccessDenied: Not here): allow it to the "
            "function's role, then repeat."
        )

    def test_a_refused_removal_fails(self, store: Store, ask: Asking) -> None:
        store.reads("other.sh", OTHER)
        store.puts("other.sh", OTHER)
        store.fails("delete_object", "AccessDenied")
        reason = ask.fails("Update", plan(a_file("other.sh", OTHER)), ONE)
        assert reason.startswith(f"NotWritten: s3://{TARGET}/workspace/start.sh can't be changed (AccessDenied: ")

    def test_a_rollback_puts_the_old_back_and_removes_the_new(self, store: Store, ask: Asking) -> None:
        store.reads("start.sh", START)
        store.puts("start.sh", START)
        store.deletes("other.sh")
        ask.copies("Update", ONE, plan(a_file("other.sh", OTHER)))

    @pytest.mark.parametrize("refused", [{}, plan(), plan(a_file("start.sh", START, Sha256="x")), ONE | {"Files": "x"}])
    def test_a_rollback_from_refused_properties(self, store: Store, ask: Asking, refused: Any) -> None:
        store.reads("start.sh", START)
        store.puts("start.sh", START)
        ask.copies("Update", ONE, refused)

    def test_a_repeated_event(self, store: Store, ask: Asking) -> None:
        for _ in range(2):
            store.reads("other.sh", OTHER)
            store.puts("other.sh", OTHER)
            store.deletes("start.sh")  # S3 deletes what is gone without an error
            ask.copies("Update", plan(a_file("other.sh", OTHER)), ONE)


class TestDelete:
    """S3 deletes no bucket in which a version or a marker of a deletion stands, so each has to go by its id."""

    def test_every_version_and_marker_goes_and_nothing_is_read(self, store: Store, ask: Asking, log: Any) -> None:
        store.lists("start.sh", ["v2", "v1"], markers=["m1"])
        store.erases("start.sh", "v2", "v1", "m1")
        store.lists("loader.sh", ["null"])  # from before the bucket had versions
        store.erases("loader.sh", "null")
        ask.deletes(TWO, f"{TARGET}/WorkspaceFiles")
        assert log.named("files")[0]["removed"] == 4

    @pytest.mark.parametrize("pipeline", ["churn-build", "a-name-of-more-than-twenty-letters-build"])
    def test_what_pipelines_handed_over_goes_and_nothing_else(
        self, store: Store, ask: Asking, log: Any, pipeline: str
    ) -> None:
        place = pipeline[:20]
        keys = [f"{place}/PipeSource/AbC1", f"{place}/data/PipeSource", f"{place}-data/x", f"{place}x/PipeCicd/DeF2"]
        store.lists("start.sh")
        asked = {"Bucket": TARGET, "Prefix": place, "ExpectedBucketOwner": ACCOUNT}
        versions = [{"Key": key, "VersionId": "v1"} for key in keys]
        store.stub.add_response("list_object_versions", {"IsTruncated": False, "Versions": versions}, asked)
        # The name of another pipeline that is cut to the same begins so as well.
        store.erases_all([(keys[0], "v1"), (keys[3], "v1")])
        ask.deletes(plan(a_file("start.sh", START), Pipelines=[pipeline, pipeline]))
        assert log.named("files")[0]["removed"] == 2

    @pytest.mark.parametrize("pipelines", ["churn-build", [""], ["a/b"], [1], {"a": "b"}])
    def test_names_that_no_pipeline_has_are_refused(self, ask: Asking, pipelines: Any) -> None:
        assert "Pipelines" in ask.fails("Create", plan(a_file("start.sh", START), Pipelines=pipelines))

    def test_keys_that_only_begin_so_are_left_alone(self, store: Store, ask: Asking, log: Any) -> None:
        store.lists("start.sh", ["v1"], markers=["m1"], others=["start.sh.bak", "start.sh/notes"])
        store.erases("start.sh", "v1", "m1")
        ask.deletes(ONE)
        assert log.named("files")[0]["removed"] == 2

    def test_more_versions_than_a_page_holds(self, store: Store, ask: Asking, log: Any) -> None:
        first, second = ("workspace/start.sh", "v2"), ("workspace/start.sh", "v1")
        store.lists("start.sh", ["v3", "v2"], NextKeyMarker=first[0], NextVersionIdMarker=first[1])
        store.erases("start.sh", "v3", "v2")
        store.lists(
            "start.sh", ["v1"], KeyMarker=first[0], VersionIdMarker=first[1],
            NextKeyMarker=second[0], NextVersionIdMarker=second[1],
        )  # fmt: skip
        store.erases("start.sh", "v1")
        store.lists("start.sh", markers=["m1"], KeyMarker=second[0], VersionIdMarker=second[1])
        store.erases("start.sh", "m1")
        ask.deletes(ONE)
        assert log.named("files")[0]["removed"] == 4

    @pytest.mark.parametrize("there", [0, 1])
    def test_a_bucket_that_is_gone(self, store: Store, ask: Asking, there: int, log: Any) -> None:
        for _ in range(there):
            store.lists("start.sh", ["v1"])
            store.erases("start.sh", "v1")
        store.fails("list_object_versions", "NoSuchBucket")
        ask.deletes(TWO)
        assert log.named("files")[0]["removed"] == there

    def test_a_bucket_that_goes_meanwhile(self, store: Store, ask: Asking, log: Any) -> None:
        store.lists("start.sh", ["v2"], NextKeyMarker="workspace/start.sh", NextVersionIdMarker="v2")
        store.erases("start.sh", "v2")
        store.lists("start.sh", ["v1"], KeyMarker="workspace/start.sh", VersionIdMarker="v2")
        store.fails("delete_objects", "NoSuchBucket")
        ask.deletes(TWO)
        assert log.named("files")[0]["removed"] == 1

    @pytest.mark.parametrize("code", ["AccessDenied", "SlowDown"])
    def test_a_refused_list_fails_and_can_be_repeated(self, store: Store, ask: Asking, code: str) -> None:
        store.fails("list_object_versions", code)
        assert ask.fails("Delete", ONE) == (
            f"NotWritten: s3://{TARGET}/workspace/start.sh can't be changed ({code}: Not here): allow it to the "
            "function's role, then repeat."
        )
        store.lists("start.sh", ["v1"])
        store.erases("start.sh", "v1")
        ask.deletes(ONE)

    @pytest.mark.parametrize("code", ["AccessDenied", "SlowDown"])
    @pytest.mark.parametrize("whole", [True, False])
    def test_a_refused_erasure_fails_and_the_next_goes_on(
        self, store: Store, ask: Asking, code: str, whole: bool
    ) -> None:
        store.lists("start.sh", ["v2", "v1"])
        if whole:
            store.fails("delete_objects", code)
        else:
            store.erases("start.sh", "v2", "v1", refused="v1", code=code)
        reason = ask.fails("Delete", ONE)
        assert reason.startswith(f"NotWritten: s3://{TARGET}/workspace/start.sh can't be changed ({code}: ")
        store.lists("start.sh", ["v1"])
        store.erases("start.sh", "v1")
        ask.deletes(ONE)

    def test_a_repeated_event(self, store: Store, ask: Asking, log: Any) -> None:
        store.lists("start.sh", ["v1"])
        store.erases("start.sh", "v1")
        ask.deletes(ONE)
        store.lists("start.sh")  # a bucket without such keys answers with neither list
        ask.deletes(ONE)
        assert [line["removed"] for line in log.named("files")] == [1, 0]

    def test_after_a_create_that_wrote_the_first_file_only(self, store: Store, ask: Asking) -> None:
        store.reads("start.sh", START)
        store.reads("loader.sh", LOADER)
        store.puts("start.sh", START, Tagging="kind=script&a+b=c%26d%3D%C3%A9")
        store.fails("put_object", "KMS.DisabledException")
        body = ask.send("Create", TWO)
        assert body["Status"] == "FAILED"
        store.lists("start.sh", ["v1"])
        store.erases("start.sh", "v1")
        store.lists("loader.sh")
        ask.deletes(TWO, body["PhysicalResourceId"])  # the rollback sends the id of the answer that failed

    @pytest.mark.parametrize("properties", [{}, plan(), plan("x"), ONE | {"TargetBucket": ""}, ONE | {"Files": None}])
    def test_after_a_create_with_refused_properties(self, store: Store, ask: Asking, properties: Any) -> None:
        assert ask.fails("Create", properties).startswith("BadProperties: ")
        ask.deletes(properties)


class TestBadProperties:
    @pytest.mark.parametrize(
        ("properties", "told"),
        [
            (ONE | {"SourceBucket": None}, "SourceBucket is missing or no such thing"),
            (ONE | {"SourceBucket": "s3://bucket"}, "SourceBucket is missing or no such thing"),
            (ONE | {"TargetBucket": "Churn"}, "TargetBucket is missing or no such thing"),
            (ONE | {"TargetBucket": "a/b"}, "TargetBucket is missing or no such thing"),
            (ONE | {"TargetBucket": "b" * 64}, "TargetBucket is missing or no such thing"),
            (ONE | {"KmsKeyArn": "alias/churn"}, "KmsKeyArn is missing or no such thing"),
            (ONE | {"KmsKeyArn": None}, "KmsKeyArn is missing or no such thing"),
            (ONE | {"KmsKeyArn": [KEY_ARN]}, "KmsKeyArn is missing or no such thing"),
            (ONE | {"Files": None}, "Files is no list of 1 to 20 files"),
            (ONE | {"Files": {}}, "Files is no list of 1 to 20 files"),
            (ONE | {"Files": "start.sh"}, "Files is no list of 1 to 20 files"),
            (plan(), "Files is no list of 1 to 20 files"),
            (plan(*[a_file(f"{number}", OTHER) for number in range(21)]), "Files is no list of 1 to 20 files"),
            (plan("start.sh"), "Files[0] has no properties"),
            (
                plan(a_file("start.sh", START, Sha256=sha256(START).upper())),
                "Files[0].Sha256 is missing or no such thing",
            ),
            (plan(a_file("start.sh", START, Sha256=sha256(START)[:-1])), "Files[0].Sha256 is missing or no such thing"),
            (plan(a_file("start.sh", START, SourceKey="")), "Files[0].SourceKey is missing or no such thing"),
            (plan(a_file("start.sh", START, SourceKey=5)), "Files[0].SourceKey is missing or no such thing"),
            (ONE | {"TargetBucket": "company-data"}, "TargetBucket is missing or no such thing"),
            (plan(a_file("start.sh", START, TargetKey="deploy/x")), "TargetKey deploy/x is not below workspace/"),
            (plan(a_file("start.sh", START, TargetKey="/start.sh")), "Files[0].TargetKey is missing or no such thing"),
            (plan(a_file("start.sh", START, TargetKey="a/../b")), "Files[0].TargetKey is missing or no such thing"),
            (plan(a_file("start.sh", START, TargetKey="..")), "Files[0].TargetKey is missing or no such thing"),
            (plan(a_file("start.sh", START, TargetKey="a b")), "Files[0].TargetKey is missing or no such thing"),
            (plan(a_file("start.sh", START, TargetKey="a\n")), "Files[0].TargetKey is missing or no such thing"),
            (plan(a_file("start.sh", START, TargetKey="ä")), "Files[0].TargetKey is missing or no such thing"),
            (plan(a_file("start.sh", START, TargetKey="a" * 513)), "Files[0].TargetKey is missing or no such thing"),
            (
                plan(a_file("start.sh", START), a_file("start.sh", OTHER, SourceKey="other")),
                "TargetKey workspace/start.sh is given twice",
            ),
            (plan(a_file("start.sh", START, Tags=["a"])), "Files[0].Tags is no map of at most 10 tags"),
            (plan(a_file("start.sh", START, Tags=None)), "Files[0].Tags is no map of at most 10 tags"),
            (plan(a_file("start.sh", START, Tags={"a": 5})), "Files[0].Tags is no map of at most 10 tags"),
            (plan(a_file("start.sh", START, Tags={"": "x"})), "Files[0].Tags is no map of at most 10 tags"),
            (plan(a_file("start.sh", START, Tags={"k" * 129: "x"})), "Files[0].Tags is no map of at most 10 tags"),
            (plan(a_file("start.sh", START, Tags={"k": "x" * 257})), "Files[0].Tags is no map of at most 10 tags"),
            (
                plan(a_file("start.sh", START, Tags={str(number): "" for number in range(11)})),
                "Files[0].Tags is no map of at most 10 tags",
            ),
        ],
    )
    @pytest.mark.parametrize("kind", ["Create", "Update"])
    def test_each_is_refused_before_any_call(
        self, store: Store, ask: Asking, kind: str, properties: Any, told: str
    ) -> None:
        assert ask.fails(kind, properties, ONE) == f"BadProperties: {told}: mend these properties in the template."

    def test_all_faults_are_told_at_once(self, store: Store, ask: Asking) -> None:
        reason = ask.fails(
            "Create", {"TargetBucket": TARGET, "Files": [a_file("a", b""), {"TargetKey": "workspace/b"}]}
        )
        assert reason == (
            "BadProperties: SourceBucket is missing or no such thing; Files[1].SourceKey is missing or no such thing; "
            "Files[1].Sha256 is missing or no such thing: mend these properties in the template."
        )

    def test_many_faults_still_fit(self, store: Store, ask: Asking) -> None:
        assert ask.fails("Create", plan(*["\ud800"] * 20)).startswith("BadProperties: Files[0] has no properties;")
