"""The quota check: a warning in words, never a failed stack."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from botocore.stub import Stubber

PROFILES = {"Service": "sagemaker", "Code": "L-PROF", "Name": "User profiles", "Needed": "10", "Why": "one a user."}
SPACES = {"Service": "sagemaker", "Code": "L-SPAC", "Name": "Spaces", "Needed": "6", "Why": "one a user"}
ADDRESS = "https://eu-central-1.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas/"


@pytest.fixture
def module(load: Callable[[str, str], ModuleType]) -> Any:
    return load("quota_check", "handler")


@pytest.fixture
def quotas(load: Callable[[str, str], ModuleType]) -> Any:
    return load("quota_check", "quotas")


@pytest.fixture
def aws(module: Any) -> Iterator[Stubber]:
    with Stubber(module.QUOTAS) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def ask(module: Any, server: Any, context: Any, request_event: Any) -> Callable[..., dict[str, str]]:
    """Send a request and give the attributes; every answer must be SUCCESS and short enough."""

    def send(quotas: Any, kind: str = "Create", seconds: float = 30.0) -> dict[str, str]:
        module.handler(request_event(kind, ResourceProperties={"Quotas": quotas}), context(seconds=seconds))
        sent = server.sent[-1]
        assert sent.json["Status"] == "SUCCESS"
        assert len(sent.body) <= 4096
        data: dict[str, str] = sent.json["Data"]
        # A missing attribute fails every Fn::GetAtt on it, and so the stack.
        assert kind == "Delete" or set(data) == {"Result", "Summary", "RequestLinks", "Checked"}
        assert all(data.values())
        return data

    return send


def _has(stub: Stubber, entry: dict[str, str], value: float | None, default: bool = False, **more: Any) -> None:
    operation = "get_aws_default_service_quota" if default else "get_service_quota"
    quota = {} if value is None else {"Value": value}
    parameters = {"ServiceCode": entry["Service"], "QuotaCode": entry["Code"]}
    stub.add_response(operation, {"Quota": quota | more}, parameters)


def _fails(stub: Stubber, code: str, default: bool = False, message: str = "no") -> None:
    stub.add_client_error("get_aws_default_service_quota" if default else "get_service_quota", code, message)


def test_enough(aws: Stubber, ask: Any) -> None:
    _has(aws, PROFILES, 10.0)
    _has(aws, SPACES, 6.5)
    assert ask([PROFILES, SPACES]) == {
        "Result": "ok",
        "Summary": "All 2 quotas are high enough.",
        "RequestLinks": "none",
        "Checked": "2",
    }


def test_short_names_what_it_has_needs_and_why_and_where_to_ask(aws: Stubber, ask: Any, log: Any) -> None:
    _has(aws, PROFILES, 2.0, Adjustable=True)
    _has(aws, SPACES, 5.0)
    assert ask([PROFILES, SPACES], "Update") == {
        "Result": "raise these quotas",
        "Summary": "User profiles: has 2, needs 10: one a user. Spaces: has 5, needs 6: one a user.",
        "RequestLinks": f"{ADDRESS}L-PROF\n{ADDRESS}L-SPAC",
        "Checked": "2",
    }
    assert [line["decision"] for line in log.named("quota")] == ["raise these quotas"] * 2


def test_the_default_holds_where_no_value_was_applied(aws: Stubber, ask: Any) -> None:
    _fails(aws, "NoSuchResourceException")
    _has(aws, PROFILES, 2.0, default=True)
    _has(aws, SPACES, None)
    _has(aws, SPACES, 6.0, default=True)
    found = ask([PROFILES, SPACES])
    assert (found["Result"], found["Checked"]) == ("raise these quotas", "2")


def test_what_cannot_be_raised_has_no_link(aws: Stubber, ask: Any) -> None:
    _has(aws, PROFILES, 2.0, Adjustable=False)
    found = ask([PROFILES])
    assert found["RequestLinks"] == "none"
    assert found["Summary"] == "User profiles: has 2, needs 10 and cannot be raised: one a user."


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "TooManyRequestsException", "ServiceException", "UnrecognizedClientException"]
)
def test_an_error_of_aws_is_told_and_the_rest_is_checked(aws: Stubber, ask: Any, code: str) -> None:
    _fails(aws, code, message="not\nallowed\x00")
    _has(aws, SPACES, 6.0)
    found = ask([PROFILES, SPACES])
    assert (found["Result"], found["Checked"]) == ("not checked", "1")
    assert found["Summary"] == f"User profiles was not checked: {code}, not allowed."


def test_a_quota_unknown_to_aws(aws: Stubber, ask: Any) -> None:
    _fails(aws, "NoSuchResourceException")
    _fails(aws, "NoSuchResourceException", default=True)
    found = ask([PROFILES])
    assert (found["Result"], found["Checked"]) == ("not checked", "0")
    assert "NoSuchResourceException" in found["Summary"]


def test_a_quota_that_aws_cannot_tell(aws: Stubber, ask: Any) -> None:
    _has(aws, PROFILES, None)
    _has(
        aws,
        PROFILES,
        None,
        default=True,
        ErrorReason={"ErrorCode": "SERVICE_QUOTA_NOT_AVAILABLE_ERROR", "ErrorMessage": "later"},
    )
    _has(aws, SPACES, None)
    _has(aws, SPACES, None, default=True)
    found = ask([PROFILES, SPACES])["Summary"]
    assert found == "User profiles was not checked: later. Spaces was not checked: no value is known."


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("text", "text was not checked: it has no properties."),
        (None, "None was not checked: it has no properties."),
        ({}, "None was not checked: its Service is no identifier."),
        (PROFILES | {"Service": "../evil"}, "User profiles was not checked: its Service is no identifier."),
        (PROFILES | {"Code": ["L"]}, "User profiles was not checked: its Code is no identifier."),
        (PROFILES | {"Needed": "many"}, "User profiles was not checked: many is no number."),
        (PROFILES | {"Needed": "nan"}, "User profiles was not checked: nan is no number."),
        (PROFILES | {"Needed": "inf"}, "User profiles was not checked: inf is no number."),
        (PROFILES | {"Needed": "-1"}, "User profiles was not checked: -1 is no number."),
        (PROFILES | {"Needed": None}, "User profiles was not checked: None is no number."),
        (PROFILES | {"Name": "", "Needed": {}}, "L-PROF was not checked: {} is no number."),
    ],
)
def test_a_broken_entry_is_told_and_the_rest_is_checked(aws: Stubber, ask: Any, entry: Any, told: str) -> None:
    _has(aws, SPACES, 6.0)
    found = ask([entry, SPACES])
    assert (found["Summary"], found["Checked"]) == (told, "1")


@pytest.mark.parametrize("given", [None, "L-PROF", {"Service": "x"}, 5])
def test_a_property_that_is_no_list(aws: Stubber, ask: Any, given: Any) -> None:
    found = ask(given)
    assert (found["Result"], found["Summary"]) == ("not checked", "The property Quotas is not a list.")


def test_no_quotas(aws: Stubber, ask: Any) -> None:
    assert ask([])["Summary"] == "No quotas were given to check."
    assert ask([])["Result"] == "not checked"


@pytest.mark.parametrize("letter", ["x", "ü", "\U0001f40d", "\ud800", "\u202e", "\n"])
def test_many_and_hostile_entries_are_shortened_to_the_response(aws: Stubber, ask: Any, letter: str) -> None:
    entries = [PROFILES | {"Name": f"{number} {letter * 3000}", "Why": letter * 3000} for number in range(60)]
    for entry in entries:
        _has(aws, entry, 1.0)
    found = ask(entries)
    shown = found["RequestLinks"].count("\n") + 1
    assert 1 <= shown < 60
    assert found["Summary"].startswith("0")
    assert found["Summary"].endswith(f"{60 - shown} more left out: see the log of the quota check.")
    assert found["Checked"] == "60"


def test_short_ones_come_before_those_not_checked(aws: Stubber, ask: Any) -> None:
    _fails(aws, "AccessDeniedException")
    _has(aws, PROFILES, 1.0)
    found = ask([SPACES, PROFILES])
    assert found["Result"] == "raise these quotas"
    assert found["Summary"].startswith("User profiles: has 1")
    assert "Spaces was not checked" in found["Summary"]


def test_no_room_at_all_still_gives_every_attribute(quotas: Any) -> None:
    findings = [quotas.Finding(quotas.SHORT, "long " * 20, "https://x")] * 3
    found = quotas.report(findings, 0)
    assert found["Summary"] == "3 more left out: see the log of the quota check."
    assert found["RequestLinks"] == "none"


def test_numbers_are_written_as_people_write_them(aws: Stubber, ask: Any) -> None:
    _has(aws, PROFILES, 1000000.0)
    entry = PROFILES | {"Needed": "2000000.5"}
    assert "has 1000000, needs 2000000.5:" in ask([entry])["Summary"]


@pytest.mark.parametrize(
    ("region", "partition", "expected"),
    [
        ("eu-west-1", "aws", "https://eu-west-1.console.aws.amazon.com/servicequotas/home/services"),
        ("cn-north-1", "aws-cn", "https://cn-north-1.console.amazonaws.cn/servicequotas/home/services"),
        (
            "us-gov-west-1",
            "aws-us-gov",
            "https://us-gov-west-1.console.amazonaws-us-gov.com/servicequotas/home/services",
        ),
        ("us-iso-east-1", "aws-iso", ""),
    ],
)
def test_the_console_of_each_partition(quotas: Any, region: str, partition: str, expected: str) -> None:
    assert quotas.console(region, partition) == expected


def test_the_links_follow_the_region_of_the_function(
    monkeypatch: pytest.MonkeyPatch, load: Any, server: Any, context: Any, request_event: Any
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "cn-northwest-1")
    monkeypatch.setenv("AWS_REGION", "cn-northwest-1")
    module = load("quota_check", "handler")
    with Stubber(module.QUOTAS) as stubber:
        _has(stubber, PROFILES, 1.0)
        module.handler(request_event(ResourceProperties={"Quotas": [PROFILES]}), context())
    links = server.sent[0].json["Data"]["RequestLinks"]
    assert links == "https://cn-northwest-1.console.amazonaws.cn/servicequotas/home/services/sagemaker/quotas/L-PROF"


def test_delete_asks_nothing(module: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(module, "check", lambda *_: calls.append("check"))
    assert ask([PROFILES], "Delete") == {}
    assert calls == []


def test_an_error_in_the_check_itself_is_told(
    module: Any, ask: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("ü" * 4000)

    monkeypatch.setattr(module, "check", broken)
    found = ask([PROFILES], "Update")
    assert (found["Result"], found["Checked"], found["RequestLinks"]) == ("not checked", "0", "none")
    assert found["Summary"].startswith("Quotas were not checked: RuntimeError: ü")
    assert server.sent[0].json["PhysicalResourceId"] == "given-id"


def test_time_running_out_is_told(module: Any, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "check", lambda *_: time.sleep(5))
    found = ask([PROFILES], seconds=0.9)
    assert found["Summary"].startswith("Quotas were not checked: Stopped shortly before")


class TestThrottling:
    """Retries are botocore's own and lie below its stubs: a real server answers."""

    def _run(self, load: Any, server: Any, context: Any, event: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", server.base)
        module = load("quota_check", "handler")
        monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
        module.handler(event, context())
        return server.sent[-1].json["Data"], len(server.sent) - 1

    def test_that_passes_is_not_noticed(
        self, load: Any, server: Any, context: Any, request_event: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        throttled = (400, json.dumps({"__type": "TooManyRequestsException"}).encode())
        server.plan = [throttled, throttled, (200, json.dumps({"Quota": {"Value": 10.0}}).encode())]
        event = request_event(ResourceProperties={"Quotas": [PROFILES]})
        assert self._run(load, server, context, event, monkeypatch) == (
            {"Result": "ok", "Summary": "All 1 quotas are high enough.", "RequestLinks": "none", "Checked": "1"},
            3,
        )

    def test_that_stays_ends_after_four_attempts(
        self, load: Any, server: Any, context: Any, request_event: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.plan = [(400, json.dumps({"__type": "TooManyRequestsException"}).encode())] * 4
        event = request_event(ResourceProperties={"Quotas": [PROFILES]})
        data, calls = self._run(load, server, context, event, monkeypatch)
        assert calls == 4
        assert "TooManyRequestsException" in data["Summary"]
