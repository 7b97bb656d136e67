"""The messages about a project: for people, once, and never a failed stack."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber

PLATFORM, PROJECT = (f"arn:aws:sns:eu-central-1:111122223333:{name}" for name in ("operations", "churn"))
PROPERTIES: dict[str, Any] = {
    "ServiceToken": "arn",
    "ProjectName": "churn",
    "ProjectId": "p-abc123",
    "Framework": "xgboost",
    "RepositoryUrl": "https://git-codecommit.eu-central-1.amazonaws.com/v1/repos/churn-p-abc123",
    "StudioLink": "https://eu-central-1.console.aws.amazon.com/sagemaker/home#/studio/d-abc",
    "Version": "1.2.0",
    "TopicArn": PROJECT,
}
PLACE = "account 111122223333, region eu-central-1"
LONGEST_URL = "https://" + "u" * 500


@pytest.fixture
def module(load: Callable[[str, str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TOPIC_ARN", PLATFORM)
    return load("project_ready", "handler")


class Topics:
    """The stub of SNS, and what was published."""

    def __init__(self, client: Any) -> None:
        self.stub = Stubber(client)
        self.published: list[dict[str, Any]] = []
        client.meta.events.register("before-parameter-build.sns", self._keep)

    def take(self, *topics: str) -> None:
        for topic in topics:
            asked = {"TopicArn": topic, "Subject": ANY, "Message": ANY, "MessageAttributes": ANY}
            self.stub.add_response("publish", {"MessageId": "m-1"}, asked)

    def refuse(self, code: str, message: str = "not allowed") -> None:
        self.stub.add_client_error("publish", code, message, 400)

    def _keep(self, params: dict[str, Any], **_: Any) -> None:
        self.published.append(params)


@pytest.fixture
def topics(module: Any) -> Iterator[Topics]:
    found = Topics(module.SNS)
    with found.stub:
        yield found
        found.stub.assert_no_pending_responses()


@pytest.fixture
def tell(module: Any, server: Any, context: Any, request_event: Any) -> Callable[..., str]:
    """Send a request and give `Notified`; every answer must be SUCCESS, short enough and tell it."""

    def send(kind: str = "Create", old: dict[str, Any] | None = None, request: str = "r-1", **changes: Any) -> str:
        event = request_event(kind, ResourceProperties=PROPERTIES | changes, RequestId=request)
        if kind == "Update":
            event["OldResourceProperties"] = PROPERTIES | (old or {})
        module.handler(event, context(seconds=60.0))
        sent = server.sent[-1]
        assert sent.json["Status"] == "SUCCESS", sent.json
        assert len(sent.body) <= 4096
        assert set(sent.json["Data"]) == {"Notified"}
        notified: str = sent.json["Data"]["Notified"]
        assert notified == "yes" or (notified.startswith("no: ") and len(notified) > 4)
        return notified

    return send


def _is_mail(published: dict[str, Any]) -> None:
    """Check the rules of SNS for a subject, and that the text is short."""
    subject = published["Subject"]
    assert subject.isascii()
    assert subject.isprintable()
    assert 0 < len(subject) < 100
    assert len(published["Message"].encode()) < 10000


def test_create_says_what_comes_next_to_both_topics(topics: Topics, tell: Any) -> None:
    topics.take(PLATFORM, PROJECT)
    assert tell() == "yes"
    first, second = topics.published
    assert {**first, "TopicArn": PROJECT} == second
    _is_mail(first)
    assert first["Subject"] == "ML project churn is ready"
    assert first["Message"] == (
        f"The machine learning project churn (p-abc123, xgboost) is ready in {PLACE}.\n"
        "\n"
        "What comes next:\n"
        "\n"
        '1. The admin adds its people: launch the Service Catalog product "Studio user" once for each person, with '
        "ProjectName churn.\n"
        f"2. A data scientist opens their own profile in Studio: {PROPERTIES['StudioLink']}\n"
        f"3. The project's code is in this repository, branch main: {PROPERTIES['RepositoryUrl']}\n"
    )


def test_the_longest_names_fit(topics: Topics, tell: Any) -> None:
    longest = {"ProjectName": "a" * 32, "ProjectId": "p-" + "b" * 18, "Version": "1" * 30, "Framework": "f" * 40}
    for kind, old in (("Create", {}), ("Update", {"Version": "1.1.0"}), ("Delete", {})):
        topics.take(PLATFORM, PROJECT)
        urls = {"RepositoryUrl": LONGEST_URL, "StudioLink": LONGEST_URL}
        assert tell(kind, old, f"r-{kind}", **longest, **urls) == "yes"
    assert len(topics.published) == 6
    for published in topics.published:
        _is_mail(published)


class TestUpdate:
    def test_another_version_is_told(self, topics: Topics, tell: Any) -> None:
        topics.take(PLATFORM, PROJECT)
        assert tell("Update", {"Version": "1.1.0"}) == "yes"
        _is_mail(topics.published[0])
        assert topics.published[0]["Subject"] == "ML project churn is now on version 1.2.0"
        assert "version 1.2.0 of the platform. It was 1.1.0.\n" in topics.published[0]["Message"]

    @pytest.mark.parametrize("before", [None, 5, "", "1.1\nBcc: x"])
    def test_a_version_before_that_cannot_be_told(self, topics: Topics, tell: Any, before: Any) -> None:
        topics.take(PLATFORM, PROJECT)
        assert tell("Update", {"Version": before}) == "yes"
        assert "It was" not in topics.published[0]["Message"]

    @pytest.mark.parametrize("old", [{}, {"StudioLink": "https://other"}, {"TopicArn": PLATFORM}])
    def test_nothing_else_is_told(self, topics: Topics, tell: Any, old: dict[str, Any]) -> None:
        assert tell("Update", old) == "no: nothing changed that people have to know"

    def test_a_rollback_tells_the_version_that_it_went_back_to(self, topics: Topics, tell: Any) -> None:
        topics.take(PLATFORM, PROJECT)
        assert tell("Update", {"Version": "1.3.0"}) == "yes"
        assert topics.published[0]["Subject"].endswith("is now on version 1.2.0")


def test_delete_says_what_stays(topics: Topics, tell: Any) -> None:
    topics.take(PLATFORM, PROJECT)
    assert tell("Delete") == "yes"
    _is_mail(topics.published[0])
    assert topics.published[0]["Subject"] == "ML project churn is being removed"
    text = topics.published[0]["Message"]
    assert text.startswith(f"The machine learning project churn (p-abc123) is being removed from {PLACE}.\n")
    assert "under names that begin with churn-p-abc123. When nobody needs them, an administrator deletes them" in text


class TestOnce:
    def test_a_repeated_event_is_told_once(self, topics: Topics, tell: Any) -> None:
        topics.take(PLATFORM, PROJECT)
        assert [tell(), tell()] == ["yes", "yes"]
        assert len(topics.published) == 2

    def test_only_the_topic_that_failed_is_told_again(self, topics: Topics, tell: Any) -> None:
        topics.take(PLATFORM)
        topics.refuse("InternalErrorException")
        assert tell().startswith(f"no: {PROJECT} was not reached")
        topics.take(PROJECT)
        assert tell() == "yes"

    def test_another_request_is_told_again_and_can_be_told_apart(self, topics: Topics, tell: Any) -> None:
        topics.take(PLATFORM, PROJECT, PLATFORM, PROJECT)
        assert [tell(request="r-1"), tell(request="r-2")] == ["yes", "yes"]
        ids = [one["MessageAttributes"]["mlops-event"]["StringValue"] for one in topics.published]
        assert (ids[0], ids[2]) == (ids[1], ids[3])
        assert ids[0] != ids[2]

    def test_the_memory_is_bounded(self, topics: Topics, tell: Any, module: Any) -> None:
        module.SENT.update((str(number), PLATFORM) for number in range(module.MOST))
        topics.take(PLATFORM, PROJECT)
        assert tell() == "yes"
        assert len(module.SENT) == 2

    def test_one_topic_for_both_is_told_once(self, topics: Topics, tell: Any) -> None:
        topics.take(PLATFORM)
        assert tell(TopicArn=PLATFORM) == "yes"

    @pytest.mark.parametrize("topic", ["", None])
    def test_a_project_without_topic(self, topics: Topics, tell: Any, topic: Any) -> None:
        topics.take(PLATFORM)
        assert tell(TopicArn=topic) == "yes"

    def test_a_platform_without_topic(self, topics: Topics, tell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("TOPIC_ARN")
        topics.take(PROJECT)
        assert tell() == "yes"
        found = tell(TopicArn="", request="r-2")
        assert found == "no: there is no topic, set TopicArn or the function's TOPIC_ARN"


class TestFailures:
    """Whatever happens, the stack goes on and says that nobody was told."""

    @pytest.mark.parametrize("kind", ["Create", "Delete"])
    @pytest.mark.parametrize(
        "code", ["KMSAccessDenied", "KMSDisabled", "AuthorizationError", "NotFound", "Throttled", "InternalError"]
    )
    def test_of_sns(self, topics: Topics, tell: Any, kind: str, code: str) -> None:
        topics.refuse(code)
        topics.take(PROJECT)
        found = tell(kind)
        assert found.startswith(f"no: {PLATFORM} was not reached (An error occurred ({code})")
        assert found.endswith("allow the function's role to publish there and to use the topic's key.")

    def test_both_are_told(self, topics: Topics, tell: Any) -> None:
        topics.refuse("KMSAccessDenied")
        topics.refuse("NotFound")
        found = tell()
        assert PLATFORM in found
        assert PROJECT in found

    def test_long_and_foreign_texts_fit(self, topics: Topics, tell: Any) -> None:
        for _ in range(2):
            topics.refuse("KMSAccessDenied", "\U0001f512\ud800" * 3000)
        found = tell(ServiceToken="x" * 3000)
        assert found.startswith(f"no: {PLATFORM}")
        assert found.isascii()

    def test_of_the_network(self, tell: Any, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(**_: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="https://sns")

        monkeypatch.setattr(module.SNS, "publish", refuse)
        assert 'Could not connect to the endpoint URL: "https://sns"' in tell()

    def test_of_anything_else(self, tell: Any, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(**_: Any) -> Any:
            raise RuntimeError("a fault of our own")

        monkeypatch.setattr(module.SNS, "publish", fail)
        assert tell() == "no: RuntimeError: a fault of our own"

    def test_of_time(
        self, module: Any, server: Any, context: Any, request_event: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module.SNS, "publish", lambda **_: time.sleep(20))
        module.handler(request_event(ResourceProperties=PROPERTIES), context(seconds=1.5))
        answer = server.sent[-1].json
        assert answer["Status"] == "SUCCESS"
        assert answer["Data"]["Notified"].startswith("no: Stopped shortly before the function's time limit")

    @pytest.mark.parametrize("topic", ["no-arn", "arn:aws:sqs:eu-central-1:111122223333:x"])
    def test_of_a_topic_that_is_none(self, topics: Topics, tell: Any, topic: str) -> None:
        topics.take(PLATFORM)
        topics.refuse("InvalidParameter", "Invalid parameter: TopicArn")
        assert tell(TopicArn=topic).startswith(f"no: {topic} was not reached (An error occurred (InvalidParameter)")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ProjectName", None),
            ("ProjectName", ["churn"]),
            ("ProjectName", "Churn"),
            ("ProjectName", "churn\nBcc: all@example.org"),
            ("ProjectName", "a" * 33),
            ("ProjectName", "chürn"),
            ("ProjectId", ""),
            ("ProjectId", "p-"),
            ("ProjectId", "p-abc\n"),
            ("Framework", "x y"),
            ("RepositoryUrl", "http://example.org"),
            ("RepositoryUrl", "https://example.org and more"),
            ("StudioLink", "javascript:alert(1)"),
            ("StudioLink", LONGEST_URL + "u"),
            ("StudioLink", {"Ref": "x"}),
        ],
    )
    def test_of_properties(self, topics: Topics, tell: Any, name: str, value: Any) -> None:
        found = tell(**{name: value})
        assert found == f"no: BadProperty: The property {name} is missing or no such thing: mend the template."

    @pytest.mark.parametrize("version", [None, "", "1 2", "1\n2", "1" * 31, ["1"]])
    def test_of_the_version(self, topics: Topics, tell: Any, version: Any) -> None:
        found = tell("Update", {"Version": "1.1.0"}, Version=version)
        assert found.startswith("no: BadProperty: The property Version")

    @pytest.mark.parametrize("kind", ["Update", "Delete"])
    def test_without_any_property(self, topics: Topics, server: Any, module: Any, context: Any, kind: str,
                                  request_event: Any) -> None:  # fmt: skip
        event = request_event(kind, ResourceProperties={"Version": "2"})
        module.handler(event, context())
        assert server.sent[-1].json["Status"] == "SUCCESS"
        assert server.sent[-1].json["PhysicalResourceId"] == "given-id"


def test_the_physical_id_stays(
    topics: Topics, module: Any, server: Any, context: Any, request_event: Any, log: Any
) -> None:
    topics.take(PLATFORM, PROJECT)
    module.handler(request_event(ResourceProperties=PROPERTIES), context())
    created = server.sent[-1].json["PhysicalResourceId"]
    event = request_event("Update", PhysicalResourceId=created, ResourceProperties=PROPERTIES)
    module.handler(event | {"OldResourceProperties": PROPERTIES}, context())
    assert server.sent[-1].json["PhysicalResourceId"] == created
    assert [line["decision"] for line in log.named("notified")] == [
        "yes",
        "no: nothing changed that people have to know",
    ]
