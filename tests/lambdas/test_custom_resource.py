"""The answerer of custom resources against a real HTTP server."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

SECRET = "0123secret"


@pytest.fixture
def shared(load: Callable[[str, str], ModuleType]) -> Any:
    return load("_shared", "custom_resource")


def _returning(shared: Any, **fields: Any) -> Any:
    return lambda _request: shared.Answer(**fields)


def test_create_is_answered_with_data_and_a_derived_id(
    shared: Any, server: Any, context: Any, request_event: Any, log: Any
) -> None:
    asked = []

    def act(request: Any) -> Any:
        asked.append(request)
        return shared.Answer(data={"Result": "ok"})

    event = request_event()
    shared.answer(event, context(), act)

    (sent,) = server.sent
    assert (sent.method, sent.headers["Content-Type"]) == ("PUT", "")
    assert sent.headers["Content-Length"] == str(len(sent.body))
    assert sent.json == {
        "Status": "SUCCESS",
        "PhysicalResourceId": shared.physical_id(event["StackId"], "QuotaCheck"),
        "StackId": event["StackId"],
        "RequestId": "unique-id",
        "LogicalResourceId": "QuotaCheck",
        "Data": {"Result": "ok"},
    }
    assert sent.json["PhysicalResourceId"].startswith("mlops-infra-QuotaCheck-")
    assert asked[0].properties["Size"] == "3"
    assert asked[0].type == "Create"
    assert SECRET not in repr(asked[0])
    (line,) = log.lines
    assert (line["message"], line["status"], line["attempts"]) == ("answered", "SUCCESS", 1)


@pytest.mark.parametrize("kind", ["Update", "Delete"])
def test_the_given_id_stays(shared: Any, server: Any, context: Any, request_event: Any, kind: str) -> None:
    seen = []

    def act(request: Any) -> Any:
        seen.append((request.physical_id, request.old_properties["Size"]))
        return shared.Answer()

    shared.answer(request_event(kind), context(), act)
    assert server.sent[0].json["PhysicalResourceId"] == "given-id"
    assert seen == [("given-id", "2")]


@pytest.mark.parametrize(("kind", "expected"), [("Create", "new"), ("Update", "new"), ("Delete", "given-id")])
def test_another_id_replaces_but_a_delete_names_what_was_deleted(
    shared: Any, server: Any, context: Any, request_event: Any, kind: str, expected: str
) -> None:
    shared.answer(request_event(kind), context(), _returning(shared, physical_id="new"))
    assert server.sent[0].json["PhysicalResourceId"] == expected


def test_a_repeated_create_derives_the_same_id(shared: Any, server: Any, context: Any, request_event: Any) -> None:
    event = request_event()
    # Lambda repeats an event as it was; an id in a Create is none that CloudFormation gave.
    for again in (event, event, event | {"PhysicalResourceId": "stray"}):
        shared.answer(again, context(), _returning(shared))
    assert len({sent.json["PhysicalResourceId"] for sent in server.sent}) == 1


def test_ids_differ_by_stack_and_resource_and_stay_short(shared: Any) -> None:
    stack = "arn:aws:cloudformation:eu-west-1:111122223333:stack/{}/{}"
    ids = {
        shared.physical_id(stack.format("a", "1"), "R"),
        shared.physical_id(stack.format("a", "2"), "R"),
        shared.physical_id(stack.format("a", "1"), "S"),
        shared.physical_id("odd", "R"),
    }
    assert len(ids) == 4
    assert len(shared.physical_id(stack.format("n" * 128, "1"), "L" * 255)) < 1024


@pytest.mark.parametrize(
    ("kind", "expected"), [("Create", "mlops-infra-"), ("Update", "given-id"), ("Delete", "given-id")]
)
def test_a_raising_act_is_answered_failed_with_the_reason(
    shared: Any, server: Any, context: Any, request_event: Any, log: Any, kind: str, expected: str
) -> None:
    def act(_request: Any) -> Any:
        raise KeyError("Näme")

    shared.answer(request_event(kind), context(), act)
    body = server.sent[0].json
    assert body["Status"] == "FAILED"
    assert body["Reason"] == "KeyError: 'Näme' (log stream 2026/01/01/[$LATEST]abc)"
    assert body["PhysicalResourceId"].startswith(expected)
    assert [line["message"] for line in log.lines] == ["act failed", "answered"]


def test_an_unknown_request_type_is_answered_failed(shared: Any, server: Any, context: Any, request_event: Any) -> None:
    shared.answer(request_event(RequestType="Migrate"), context(), _returning(shared))
    assert server.sent[0].json["Reason"].startswith("ValueError: Unknown request type Migrate")


@pytest.mark.parametrize("text", ["x" * 9000, "\U0001f40d" * 5000, "\ud800" * 3000, 'ä\n\0"' * 2000])
def test_a_hostile_reason_is_cut_to_the_limit(
    shared: Any, server: Any, context: Any, request_event: Any, text: str
) -> None:
    def act(_request: Any) -> Any:
        raise RuntimeError(text)

    shared.answer(request_event(), context(), act)
    assert 3900 < len(server.sent[0].body) <= 4096
    assert server.sent[0].json["Reason"].startswith(f"RuntimeError: {text[:100]}")
    assert server.sent[0].json["Reason"].endswith("abc)")


@pytest.mark.parametrize(("extra", "status"), [(0, "SUCCESS"), (1, "FAILED")])
@pytest.mark.parametrize("letter", ["x", "é", "\U0001f40d"])
def test_data_may_fill_the_room_to_the_last_byte(
    shared: Any, server: Any, context: Any, request_event: Any, extra: int, status: str, letter: str
) -> None:
    def act(request: Any) -> Any:
        text = letter * ((request.room - 100) // shared.json_size(letter))
        text += "x" * (request.room + extra - shared.json_size({"K": text}))
        return shared.Answer(data={"K": text})

    shared.answer(request_event(), context(), act)
    body = server.sent[0].json
    assert body["Status"] == status
    if extra:
        assert "TooLarge: The data takes" in body["Reason"]
    else:
        assert len(server.sent[0].body) == 4096


def test_data_that_is_no_json_fails_with_a_reason(shared: Any, server: Any, context: Any, request_event: Any) -> None:
    shared.answer(request_event(), context(), _returning(shared, data={"K": object()}))
    assert server.sent[0].json["Reason"].startswith("TypeError")


def test_time_runs_out(shared: Any, server: Any, context: Any, request_event: Any) -> None:
    before = signal.getsignal(signal.SIGALRM)
    swallowed = []

    def act(_request: Any) -> Any:
        try:
            time.sleep(5)
        except Exception:
            swallowed.append("an Exception would be swallowed here")
        return shared.Answer()

    limited = context(seconds=0.9)
    shared.answer(request_event(), limited, act)
    assert limited.get_remaining_time_in_millis() > 0
    body = server.sent[0].json
    assert (body["Status"], swallowed) == ("FAILED", [])
    assert body["Reason"].startswith("Stopped shortly before the function's time limit: repeat the operation")
    assert len(server.sent) == 1
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_alarm_ends_a_wait_for_the_network(shared: Any, server: Any, context: Any, request_event: Any) -> None:
    def act(_request: Any) -> Any:
        with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_connection(silent.getsockname()) as line:
            line.recv(1)
        return shared.Answer()

    limited = context(seconds=0.9)
    shared.answer(request_event(), limited, act)
    assert limited.get_remaining_time_in_millis() > 0
    assert server.sent[0].json["Status"] == "FAILED"


def test_a_quick_act_leaves_no_alarm_behind(shared: Any, server: Any, context: Any, request_event: Any) -> None:
    shared.answer(request_event(), context(seconds=0.6), _returning(shared))
    time.sleep(0.6)  # an alarm left behind would end the process
    assert server.sent[0].json["Status"] == "SUCCESS"


def test_outside_the_main_thread_it_answers_without_an_alarm(
    shared: Any, server: Any, context: Any, request_event: Any
) -> None:
    thread = threading.Thread(target=shared.answer, args=(request_event(), context(), _returning(shared)))
    thread.start()
    thread.join()
    assert server.sent[0].json["Status"] == "SUCCESS"


class TestInstead:
    """A resource that never fails a stack."""

    def _answer(self, shared: Any, context: Any, event: Any, act: Any, instead: Any = None) -> None:
        shared.answer(event, context, act, instead or (lambda _request, reason: shared.Answer(data={"Why": reason})))

    def test_of_an_error(self, shared: Any, server: Any, context: Any, request_event: Any) -> None:
        def act(_request: Any) -> Any:
            raise RuntimeError("boom")

        self._answer(shared, context(), request_event("Update"), act)
        body = server.sent[0].json
        assert (body["Status"], body["Data"], body["PhysicalResourceId"]) == (
            "SUCCESS",
            {"Why": "RuntimeError: boom"},
            "given-id",
        )

    def test_of_too_much_data(self, shared: Any, server: Any, context: Any, request_event: Any) -> None:
        self._answer(shared, context(), request_event(), _returning(shared, data={"K": "x" * 5000}))
        assert server.sent[0].json["Data"]["Why"].startswith("TooLarge")

    def test_of_time_running_out(self, shared: Any, server: Any, context: Any, request_event: Any) -> None:
        self._answer(shared, context(seconds=0.6), request_event(), lambda _request: time.sleep(5))
        assert server.sent[0].json["Data"]["Why"].startswith("Stopped shortly before")

    def test_that_fails_itself(self, shared: Any, server: Any, context: Any, request_event: Any) -> None:
        def act(_request: Any) -> Any:
            raise RuntimeError("first")

        def instead(_request: Any, _reason: str) -> Any:
            raise ValueError("second")

        self._answer(shared, context(), request_event(), act, instead)
        body = server.sent[0].json
        assert body["Status"] == "FAILED"
        assert body["Reason"].startswith("RuntimeError: first; then ValueError: second")


class TestDelivery:
    @pytest.mark.parametrize("plan", [[503, "drop"], ["drop", 500], [429, 408]])
    def test_is_repeated_after_two_faults(
        self, shared: Any, server: Any, context: Any, request_event: Any, log: Any, plan: list[Any]
    ) -> None:
        server.plan = list(plan)
        acted = []

        def act(request: Any) -> Any:
            acted.append(request)
            return shared.Answer()

        shared.answer(request_event(), context(), act)
        assert len(acted) == 1
        assert len({sent.body for sent in server.sent}) == 1
        assert log.named("answered")[0]["attempts"] == len(server.sent) == 3

    def test_is_given_up_before_the_time_limit_and_the_event_repeated(
        self, shared: Any, server: Any, context: Any, request_event: Any
    ) -> None:
        server.plan = [503] * 20
        limited = context(seconds=2.5)
        with pytest.raises(shared.NotDelivered, match=r"QuotaCheck after \d attempts \(HTTP 503\)") as raised:
            shared.answer(request_event(), limited, _returning(shared))
        assert limited.get_remaining_time_in_millis() > 0
        assert 1 < len(server.sent) < 6
        assert SECRET not in str(raised.value)
        assert raised.value.__context__ is None  # a chained error would show its own text in the log

    def test_has_a_bound_of_attempts(
        self, shared: Any, server: Any, context: Any, request_event: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[float] = []
        monkeypatch.setattr(shared.time, "sleep", pauses.append)
        server.plan = [500] * 20
        with pytest.raises(shared.NotDelivered):
            shared.answer(request_event(), context(seconds=600), _returning(shared))
        assert len(server.sent) == shared.ATTEMPTS
        assert pauses == sorted(pauses)
        assert sum(pauses) < shared.ANSWER_SECONDS

    def test_does_not_wait_for_a_server_that_hangs(
        self, shared: Any, server: Any, context: Any, request_event: Any
    ) -> None:
        server.plan = ["hang"] * 5
        limited = context(seconds=1.4)
        with pytest.raises(shared.NotDelivered, match="TimeoutError"):
            shared.answer(request_event(), limited, _returning(shared))
        assert limited.get_remaining_time_in_millis() > 0

    def test_to_nobody(self, shared: Any, context: Any, request_event: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        event = request_event(ResponseURL=f"http://127.0.0.1:{port}/?{SECRET}")
        with pytest.raises(shared.NotDelivered, match="ConnectionRefusedError") as raised:
            shared.answer(event, context(seconds=1.2), _returning(shared))
        assert SECRET not in str(raised.value)

    @pytest.mark.parametrize("status", [301, 400, 403, 404])
    def test_refused_for_good_is_not_repeated(
        self, shared: Any, server: Any, context: Any, request_event: Any, log: Any, status: int
    ) -> None:
        server.plan = [status]
        shared.answer(request_event(), context(), _returning(shared))
        assert len(server.sent) == 1
        assert log.named("answer refused")[0]["fault"] == f"HTTP {status}"

    @pytest.mark.parametrize(
        "url",
        [
            "file:///etc/passwd?0123secret",
            "ftp://h/0123secret",
            "0123secret",
            "http://h/0123secret a\n",
            "http://h:x/0123secret",
        ],
    )
    def test_to_an_odd_url_is_refused_without_showing_it(
        self, shared: Any, server: Any, context: Any, request_event: Any, log: Any, url: str
    ) -> None:
        shared.answer(request_event(ResponseURL=url), context(), _returning(shared))
        assert server.sent == []
        assert log.named("answer refused")[0]["fault"].startswith("the response URL is not")
        assert SECRET not in log.stream.getvalue()


@pytest.mark.parametrize("missing", ["ResponseURL", "StackId", "RequestId", "LogicalResourceId"])
@pytest.mark.parametrize("value", ["", None, 5])
def test_an_event_that_is_no_request_is_an_error(
    shared: Any, server: Any, context: Any, request_event: Any, missing: str, value: Any
) -> None:
    with pytest.raises(shared.NotARequest, match=f"lacks {missing}:") as raised:
        shared.answer(request_event(**{missing: value}), context(), _returning(shared))
    assert SECRET not in str(raised.value)
    assert server.sent == []


def test_nothing_is_logged_of_the_whole_event_even_when_powertools_is_told_to(
    load: Any, server: Any, context: Any, request_event: Any, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    handler = load("quota_check", "handler")
    handler.handler(request_event("Delete"), context())
    assert server.sent[0].json["Status"] == "SUCCESS"
    assert SECRET not in log.stream.getvalue()


class TestLater:
    """An act that goes on elsewhere."""

    def test_sends_nothing_and_is_told_so(
        self, shared: Any, server: Any, context: Any, request_event: Any, log: Any
    ) -> None:
        assert shared.answer(request_event("Delete"), context(), lambda _request: shared.LATER) is False
        assert server.sent == []
        (line,) = log.lines
        assert (line["message"], line["request_type"]) == ("answer comes later", "Delete")
        assert (line["logical_id"], line["physical_id"]) == ("QuotaCheck", "given-id")

    def test_the_same_event_is_answered_later(self, shared: Any, server: Any, context: Any, request_event: Any) -> None:
        event = request_event("Delete")
        outcomes = [shared.LATER, shared.LATER, shared.Answer()]
        asked = []

        def act(request: Any) -> Any:
            asked.append(request)
            return outcomes.pop(0)

        assert [shared.answer(event, context(), act) for _ in range(3)] == [False, False, True]
        assert len({repr(request) for request in asked}) == 1
        (sent,) = server.sent
        assert (sent.json["Status"], sent.json["RequestId"]) == ("SUCCESS", "unique-id")

    def test_leaves_no_alarm_behind(self, shared: Any, server: Any, context: Any, request_event: Any) -> None:
        shared.answer(request_event(), context(seconds=0.6), lambda _request: shared.LATER)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)

    def test_is_no_way_out_for_an_instead(self, shared: Any, server: Any, context: Any, request_event: Any) -> None:
        instead = _returning(shared, data={"Why": "never asked"})
        assert shared.answer(request_event(), context(), lambda _request: shared.LATER, instead) is False
        assert server.sent == []

    def test_a_failure_is_an_answer(self, shared: Any, server: Any, context: Any, request_event: Any) -> None:
        def act(_request: Any) -> Any:
            raise RuntimeError("boom")

        assert shared.answer(request_event(), context(), act) is True
        assert server.sent[0].json["Status"] == "FAILED"

    def test_a_refused_answer_ends_the_waiting(
        self, shared: Any, server: Any, context: Any, request_event: Any, log: Any
    ) -> None:
        server.plan = [403]
        assert shared.answer(request_event(), context(), _returning(shared)) is True
        assert log.named("answer refused")
