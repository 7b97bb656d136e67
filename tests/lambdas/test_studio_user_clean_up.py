"""The clean-up of a Studio user: apps end, spaces go, the profile stays to CloudFormation; and the loop that waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from tests.lambdas.conftest import SECRET
from tests.lambdas.studio_domain import DOMAIN, LOOP, App, Asking, AwsError, Domain, Space, Studio

ANNA = {"DomainId": DOMAIN, "UserProfileName": "anna-churn"}
OWN_ID = f"clean-up/{DOMAIN}/anna-churn"


@pytest.fixture
def module(load: Callable[[str, str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CLEAN_UP_LOOP", LOOP)
    return load("studio_user", "handler")


@pytest.fixture
def studio(module: Any) -> Studio:
    found = Studio(module)
    found.user("anna-churn", "anna@example.org", "churn")
    found.user("bob-churn", "bob@example.org", "churn")
    return found


@pytest.fixture
def ask(studio: Studio, module: Any, server: Any, context: Any, request_event: Any) -> Asking:
    return Asking(module, server, context, request_event, "clean-up")


def _deletes(ask: Asking, **changes: Any) -> dict[str, Any]:
    return ask.answers("Delete", OWN_ID, ANNA | changes)


def _waits(ask: Asking, **changes: Any) -> None:
    assert ask.handle(ask.event("Delete", OWN_ID, ANNA | changes)) is None


def _turn(ask: Asking, attempt: int = 1, minutes: float = 1.0, **changes: Any) -> dict[str, Any] | None:
    started = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    turn = {"event": ask.event("Delete", OWN_ID, ANNA), "attempt": attempt, "started": started.replace("+00:00", "Z")}
    return ask.handle(turn | changes)


class TestCreateAndUpdate:
    @pytest.mark.parametrize("kind", ["Create", "Update"])
    def test_do_nothing(self, ask: Asking, studio: Studio, kind: str) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn"))
        body = ask.answers(kind, OWN_ID if kind == "Update" else None, ANNA)
        assert (body["PhysicalResourceId"], studio.calls) == (OWN_ID, [])

    def test_another_profile_is_another_resource(self, ask: Asking) -> None:
        # So CloudFormation deletes the former clean-up with its own properties, before it deletes the former profile.
        body = ask.answers("Update", OWN_ID, ANNA | {"UserProfileName": "am-churn"})
        assert body["PhysicalResourceId"] != OWN_ID

    @pytest.mark.parametrize(
        "changes",
        [
            {"UserProfileName": ""},
            {"UserProfileName": "anna_churn"},
            {"UserProfileName": "a" * 64},
            {"UserProfileName": None},
            {"DomainId": ""},
            {"DomainId": "x"},
        ],
    )
    def test_refuse_what_could_not_be_cleaned_up_and_the_stack_can_go(
        self, ask: Asking, studio: Studio, changes: dict[str, Any]
    ) -> None:
        body = ask.fails("Create", None, ANNA | changes)
        assert body["Reason"].startswith("BadProperty: ")
        ask.answers("Delete", body["PhysicalResourceId"], ANNA | changes)
        assert studio.calls == []


class TestFirstPass:
    def test_a_user_who_never_came_is_gone_at_once(self, ask: Asking, studio: Studio, log: Any) -> None:
        _deletes(ask)
        assert sorted(studio.calls) == ["ListApps", "ListSpaces"]
        assert log.named("studio user")[0]["decision"] == "gone"

    @pytest.mark.parametrize("status", ["Deleted", "Failed"])
    def test_ended_apps_are_in_nobody_s_way(self, ask: Asking, studio: Studio, status: str) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn", status=status))
        _deletes(ask)
        assert studio.called("DeleteApp") == 0

    @pytest.mark.parametrize("status", ["InService", "Pending"])
    def test_apps_are_asked_to_end_and_waited_for(self, ask: Asking, studio: Studio, status: str) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn", status=status, type="JupyterServer"))
        _waits(ask)
        assert studio.domain.apps[0].status == "Deleting"
        ((name, given),) = studio.executions.items()
        assert name.startswith("anna-churn-")
        assert json.loads(given) == {"event": ask.event("Delete", OWN_ID, ANNA), "attempt": 0}

    def test_an_app_that_is_ending_is_not_asked_again(self, ask: Asking, studio: Studio) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn", status="Deleting"))
        _waits(ask)
        assert studio.called("DeleteApp") == 0

    def test_a_space_goes_after_its_apps(self, ask: Asking, studio: Studio) -> None:
        studio.domain.spaces.append(Space("lab", "anna-churn"))
        studio.domain.apps += [App("default", space="lab"), App("old", space="lab", status="Deleted")]
        _waits(ask)
        assert (studio.called("DeleteApp"), studio.called("DeleteSpace")) == (1, 0)
        studio.pass_time()
        assert _turn(ask) is None
        assert studio.domain.spaces[0].status == "Deleting"
        studio.pass_time()
        answer = _turn(ask, 2)
        assert answer is not None
        assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", OWN_ID)

    @pytest.mark.parametrize("status", ["InService", "Failed", "Update_Failed", "Delete_Failed", "Pending", "Updating"])
    def test_a_space_without_apps_goes_in_whatever_state(self, ask: Asking, studio: Studio, status: str) -> None:
        studio.domain.spaces.append(Space("lab", "anna-churn", status))
        studio.domain.apps.append(App("default", space="lab", status="Failed"))
        _waits(ask)
        assert studio.domain.spaces[0].status == "Deleting"

    def test_only_what_is_the_profile_s_own_ends(self, ask: Asking, studio: Studio) -> None:
        studio.domain.spaces += [
            Space("anna-lab", "Anna-Churn"),  # names are one, whatever their capitals
            Space("anna-shared", "anna-churn", sharing="Shared"),
            Space("bob-lab", "bob-churn"),
            Space("bob-shared", "bob-churn", sharing="Shared"),
            Space("nobody-s", sharing="Shared"),
        ]
        studio.domain.apps += [
            App("default", profile="bob-churn"),
            App("default", space="bob-lab"),
            App("default", profile="anna-churn", space="bob-shared"),
            App("mine", profile="anna-churn", space="anna-lab"),
        ]
        studio.domains["d-other"] = Domain(spaces=[Space("elsewhere", "anna-churn")])
        _waits(ask)
        studio.pass_time()
        _turn(ask)
        studio.pass_time()
        answer = _turn(ask, 2)
        assert answer is not None
        assert [space.name for space in studio.domain.spaces] == ["bob-lab", "bob-shared", "nobody-s"]
        assert {app.name: app.status for app in studio.domain.apps} == {"default": "InService", "mine": "Deleted"}
        assert len(studio.domains["d-other"].spaces) == 1
        assert [profile.name for profile in studio.domain.profiles] == ["anna-churn", "bob-churn"]

    def test_many_of_everything(self, ask: Asking, studio: Studio) -> None:
        studio.domain.spaces += [Space(f"lab{number}", "anna-churn") for number in range(7)]
        studio.domain.apps += [App(f"app{n}", space=f"lab{s}") for s in range(7) for n in range(5)]
        studio.domain.apps += [App(f"own{n}", profile="anna-churn", type="KernelGateway") for n in range(5)]
        _waits(ask)
        assert {app.status for app in studio.domain.apps} == {"Deleting"}

    def test_a_domain_that_is_gone(self, ask: Asking, studio: Studio) -> None:
        studio.domains.clear()
        _deletes(ask)

    @pytest.mark.parametrize(
        "error",
        [AwsError("ResourceNotFound"), AwsError("ValidationException", "RecordNotFound")],
        ids=["modelled", "as-it-is"],
    )
    def test_a_profile_that_is_gone(self, ask: Asking, studio: Studio, error: AwsError) -> None:
        studio.domain.profiles.clear()
        studio.fails["ListApps"] = [error]
        _deletes(ask)

    def test_what_goes_while_it_is_asked(self, ask: Asking, studio: Studio) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn"))
        studio.fails["DeleteApp"] = [AwsError("ValidationException", "App [default] has already been deleted.")]
        _waits(ask)
        studio.domain.apps[0].status = "Deleted"
        studio.domain.spaces.append(Space("lab", "anna-churn"))
        studio.fails["DeleteSpace"] = [AwsError("ResourceNotFound")]
        assert _turn(ask) is None

    def test_the_domain_goes_while_it_is_asked(self, ask: Asking, studio: Studio) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn"))
        studio.fails["ListSpaces"] = []
        first = studio._DeleteApp

        def last(**asked: Any) -> dict[str, Any]:
            found = first(**asked)
            studio.domains.clear()
            return found

        studio._DeleteApp = last  # type: ignore[method-assign]
        _deletes(ask)


class TestWaiting:
    """AWS that is busy, or an app that is in use, is no failure: another pass will do."""

    @pytest.mark.parametrize("operation", ["ListSpaces", "ListApps", "DeleteApp", "DeleteSpace"])
    @pytest.mark.parametrize(
        "error",
        [
            AwsError("ThrottlingException", "slow down"),
            AwsError("InternalFailure", "again", 500),
            AwsError("ServiceUnavailable", "again", 503),
            ReadTimeoutError(endpoint_url="https://x"),
            ConnectTimeoutError(endpoint_url="https://x"),
        ],
        ids=lambda error: getattr(error, "code", type(error).__name__),
    )
    def test_for_aws(self, ask: Asking, studio: Studio, operation: str, error: Exception) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn"))
        studio.domain.spaces.append(Space("lab", "anna-churn"))
        studio.fails[operation] = [error]
        _waits(ask)
        for attempt in range(1, 4):
            studio.pass_time()
            answer = _turn(ask, attempt)
        assert answer is not None
        assert answer["Status"] == "SUCCESS"

    @pytest.mark.parametrize("code", ["ResourceInUse", "ConflictException", "ValidationException"])
    @pytest.mark.parametrize("operation", ["DeleteApp", "DeleteSpace"])
    def test_for_what_is_in_use(self, ask: Asking, studio: Studio, operation: str, code: str) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn"))
        studio.domain.spaces.append(Space("lab", "anna-churn"))
        studio.fails[operation] = [AwsError(code, "not in this state")]
        _waits(ask)
        assert (studio.called("DeleteApp"), studio.called("DeleteSpace")) == (1, 1)

    def test_a_validation_error_of_a_domain_that_stands_is_told(self, ask: Asking, studio: Studio) -> None:
        studio.fails["ListSpaces"] = [AwsError("ValidationException", "1 validation error detected")]
        reason = ask.fails("Delete", OWN_ID, ANNA)["Reason"]
        assert reason.startswith("AwsRefused: ")
        assert studio.called("DescribeDomain") == 1

    def test_a_pass_ends_before_its_time_is_over(self, ask: Asking, studio: Studio, log: Any) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn"))
        assert ask.handle(ask.event("Delete", OWN_ID, ANNA), seconds=50) is None
        assert studio.calls == ["StartExecution"]
        assert log.named("studio user")[0]["stands"] == ["what could not be looked up (the time of this pass is over)"]

    def test_a_pass_ends_between_two_pages(self, ask: Asking, studio: Studio, module: Any, context: Any) -> None:
        studio.domain.spaces += [Space(f"lab{number}", "anna-churn") for number in range(9)]
        limited = context(seconds=120)
        first = studio._ListSpaces

        def slow(**asked: Any) -> dict[str, Any]:
            limited.seconds = 55.0
            return first(**asked)

        studio._ListSpaces = slow  # type: ignore[method-assign]
        assert module.handler(ask.event("Delete", OWN_ID, ANNA), limited) == {"answered": False}
        assert studio.calls == ["ListSpaces", "StartExecution"]

    def test_a_pass_that_has_no_time_left_to_ask_tells_what_it_saw(
        self, ask: Asking, studio: Studio, module: Any, context: Any, log: Any
    ) -> None:
        studio.domain.apps += [App(f"app{number}", profile="anna-churn") for number in range(2)]
        limited = context(seconds=120)
        first = studio._DeleteApp

        def slow(**asked: Any) -> dict[str, Any]:
            limited.seconds = 55.0
            return first(**asked)

        studio._DeleteApp = slow  # type: ignore[method-assign]
        assert module.handler(ask.event("Delete", OWN_ID, ANNA), limited) == {"answered": False}
        assert studio.called("DeleteApp") == 1
        assert log.named("studio user")[0]["stands"] == [
            "app app0 (JupyterLab): InService",
            "app app1 (JupyterLab): InService (the time of this pass is over)",
        ]

    def test_a_person_who_starts_another_app_is_no_way_out(self, ask: Asking, studio: Studio) -> None:
        studio.domain.spaces.append(Space("lab", "anna-churn"))
        studio.domain.apps.append(App("default", space="lab"))
        _waits(ask)
        studio.pass_time()
        studio.domain.apps[0].status = "InService"
        assert _turn(ask) is None
        assert studio.domain.apps[0].status == "Deleting"

    @pytest.mark.parametrize("operation", ["ListSpaces", "ListApps", "DeleteApp", "DeleteSpace", "DescribeDomain"])
    def test_a_missing_permission_is_told_at_once(self, ask: Asking, studio: Studio, operation: str) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn"))
        studio.domain.spaces.append(Space("lab", "anna-churn"))
        studio.fails[operation] = [AwsError("AccessDeniedException", "not authorized")]
        if operation == "DescribeDomain":
            studio.fails["ListSpaces"] = [AwsError("ResourceNotFound")]
        reason = ask.fails("Delete", OWN_ID, ANNA)["Reason"]
        assert reason.startswith("AwsRefused: An error occurred (AccessDeniedException)")
        assert studio.executions == {}


class TestLoopStart:
    def test_a_repeated_event_starts_one_loop(self, ask: Asking, studio: Studio) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn", stubborn=True))
        _waits(ask)
        _waits(ask)
        assert len(studio.executions) == 1
        assert studio.called("StartExecution") == 2

    def test_a_repeated_delete_starts_another(self, ask: Asking, studio: Studio) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn", stubborn=True))
        _waits(ask)
        assert ask.handle(ask.event("Delete", OWN_ID, ANNA, RequestId="another")) is None
        assert len(studio.executions) == 2

    def test_the_longest_name(self, ask: Asking, studio: Studio) -> None:
        name = "a" * 30 + "-" + "p" * 32
        studio.domain.apps.append(App("default", profile=name))
        _waits(ask, UserProfileName=name)
        assert [len(one) for one in studio.executions] == [76]

    @pytest.mark.parametrize("code", ["AccessDeniedException", "StateMachineDoesNotExist", "InvalidExecutionInput"])
    def test_that_fails_is_told_without_the_input(self, ask: Asking, studio: Studio, log: Any, code: str) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn"))
        studio.fails["StartExecution"] = [AwsError(code, f"bad input {{'ResponseURL': 'https://x?{SECRET}'}}")]
        body = ask.fails("Delete", OWN_ID, ANNA)
        assert body["Reason"].startswith("LoopNotStarted: Apps or spaces need time to end, and the loop")
        assert code in body["Reason"]
        assert SECRET not in body["Reason"]
        assert SECRET not in log.stream.getvalue()

    def test_without_a_loop_is_told(self, ask: Asking, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
        studio.domain.apps.append(App("default", profile="anna-churn"))
        monkeypatch.delenv("CLEAN_UP_LOOP")
        assert "CLEAN_UP_LOOP is not set" in ask.fails("Delete", OWN_ID, ANNA)["Reason"]

    def test_is_not_needed_where_nothing_stands(self, ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CLEAN_UP_LOOP")
        _deletes(ask)


class TestEnd:
    """An app that will not die."""

    @pytest.fixture(autouse=True)
    def stubborn(self, studio: Studio) -> None:
        studio.domain.spaces.append(Space("lab", "anna-churn"))
        studio.domain.apps.append(App("default", space="lab", stubborn=True))

    @pytest.mark.parametrize(("attempt", "minutes"), [(0, 1), (99, 54.9), (1, 0), (99, -5)])
    def test_is_waited_for(self, ask: Asking, attempt: int, minutes: float) -> None:
        assert _turn(ask, attempt, minutes) is None

    @pytest.mark.parametrize(("attempt", "minutes"), [(100, 51), (101, 51), (1, 55), (3, 600)])
    def test_is_named_at_the_end(self, ask: Asking, studio: Studio, attempt: int, minutes: float) -> None:
        answer = _turn(ask, attempt, minutes)
        assert answer is not None
        assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", OWN_ID)
        assert answer["Reason"].startswith(
            "StillStands: Of anna-churn there still is: app default (JupyterLab in space lab): Deleting; "
            "space lab: InService. Delete again, which goes on from here"
        )
        assert studio.executions == {}

    def test_with_what_was_said_to_whoever_asked(self, ask: Asking, studio: Studio) -> None:
        studio.fails["DeleteApp"] = [AwsError("ResourceInUse", "an update runs")]
        answer = _turn(ask, 100)
        assert answer is not None
        assert "default (JupyterLab in space lab): InService (ResourceInUse, an update runs); space" in answer["Reason"]

    def test_when_aws_could_not_be_asked(self, ask: Asking, studio: Studio) -> None:
        studio.fails["ListSpaces"] = [AwsError("ThrottlingException")]
        answer = _turn(ask, 100)
        assert answer is not None
        assert "what could not be looked up (AWS is busy: ThrottlingException)" in answer["Reason"]

    def test_ten_are_named_and_the_rest_counted(self, ask: Asking, studio: Studio) -> None:
        studio.domain.apps += [App(f"a{n}", profile="anna-churn", stubborn=True) for n in range(30)]
        answer = _turn(ask, 100)
        assert answer is not None
        assert "; 22 more. Delete again" in answer["Reason"]

    def test_repeating_the_delete_goes_on(self, ask: Asking, studio: Studio) -> None:
        assert _turn(ask, 100) is not None
        studio.domain.apps[0].stubborn = False
        studio.pass_time()
        again = {"RequestId": "another"}
        assert ask.handle(ask.event("Delete", OWN_ID, ANNA, **again)) is None
        studio.pass_time()
        _deletes(ask)

    def test_a_turn_without_a_time_still_counts(self, ask: Asking) -> None:
        for started in (None, "", "yesterday", 7, "2026-01-01T00:00:00"):
            assert _turn(ask, 99, started=started) is None
            assert _turn(ask, 100, started=started) is not None

    def test_a_turn_without_a_count_still_has_a_time(self, ask: Asking) -> None:
        for attempt in (None, "100", [], 3.5):
            assert _turn(ask, attempt=attempt, minutes=54) is None  # type: ignore[arg-type]
            assert _turn(ask, attempt=attempt, minutes=56) is not None  # type: ignore[arg-type]

    def test_turns_in_any_order_do_no_harm(self, ask: Asking, studio: Studio) -> None:
        assert [_turn(ask, attempt) for attempt in (5, 2, 2, 9)] == [None] * 4
        studio.domain.apps[0].stubborn = False
        studio.pass_time()
        _turn(ask, 1)
        studio.pass_time()
        for attempt in (3, 100, 0):  # all is gone: whoever asks is told so
            answer = _turn(ask, attempt)
            assert answer is not None
            assert answer["Status"] == "SUCCESS"


class TestGiveUp:
    @pytest.mark.parametrize(
        ("failure", "told"),
        [
            ({"Error": "States.Timeout", "Cause": ""}, "failed: States.Timeout. Delete again"),
            ({"Error": "Sandbox.Timedout"}, "failed: Sandbox.Timedout. Delete again"),
            ({"Error": "E", "Cause": '{"errorMessage": "no", "stackTrace": []}'}, "failed: E: no. Delete again"),
            ({"Error": "E", "Cause": "[1]"}, "failed: E: [1]. Delete again"),
            ("the cause", "failed: the cause. Delete again"),
            (None, "failed: None. Delete again"),
        ],
    )
    def test_answers_failed_with_the_cause(self, ask: Asking, studio: Studio, failure: Any, told: str) -> None:
        event = ask.event("Delete", OWN_ID, ANNA)
        answer = ask.handle({"event": event, "give_up": failure})
        assert answer is not None
        assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", OWN_ID)
        assert told in answer["Reason"]
        assert studio.calls == []

    def test_does_not_tell_the_response_url(self, ask: Asking, log: Any) -> None:
        event = ask.event("Delete", OWN_ID, ANNA)
        cause = json.dumps({"errorMessage": f"PUT {event['ResponseURL']} failed {'x' * 9000}"})
        answer = ask.handle({"event": event, "give_up": {"Error": "E", "Cause": cause}})
        assert answer is not None
        assert SECRET not in answer["Reason"]
        assert SECRET not in log.stream.getvalue()
