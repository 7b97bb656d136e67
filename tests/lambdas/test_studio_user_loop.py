"""The state machine of the clean-up: walked with the real function, and ended by construction."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.lambdas.studio_domain import DOMAIN, LOOP, App, Asking, Space, Studio

FILE = Path(__file__).parents[2] / "lambdas" / "studio_user" / "clean_up_loop.asl.json"
TEXT = FILE.read_text()
MACHINE: dict[str, Any] = json.loads(TEXT)
STATES: dict[str, dict[str, Any]] = MACHINE["States"]
ANNA = {"DomainId": DOMAIN, "UserProfileName": "anna-churn"}
OWN_ID = f"clean-up/{DOMAIN}/anna-churn"
SERVICE_TIMEOUT = 3600  # seconds that CloudFormation waits


def _leads_to(state: dict[str, Any]) -> set[str]:
    """Give all states that one leads to."""
    found = {state[key] for key in ("Next", "Default") if key in state}
    return found | {one["Next"] for key in ("Choices", "Catch") for one in state.get(key, [])}


class Walk:
    """A walk through the machine: what Step Functions does with the fields that this definition uses, and no others.

    `call` is the function. Time passes by `Wait` and by the pauses of `Retry` alone.
    """

    KNOWN = {
        "Wait": {"Seconds", "Next"},
        "Task": {"Resource", "Parameters", "TimeoutSeconds", "ResultPath", "Retry", "Catch", "Next", "End"},
        "Choice": {"Choices", "Default"},
        "Pass": {"Parameters", "Result", "ResultPath", "Next"},
        "Succeed": set[str](),
    }

    def __init__(self, call: Callable[[dict[str, Any]], Any], minute: Callable[[], None] = lambda: None) -> None:
        self._call, self._minute = call, minute
        self.seconds = 0.0
        self.path: list[str] = []

    def run(self, given: dict[str, Any]) -> str:
        """Give how the execution ended: SUCCEEDED, FAILED or TIMED_OUT."""
        name: str | None = MACHINE["StartAt"]
        data = json.loads(json.dumps(given))
        while name is not None:
            if self.seconds >= MACHINE["TimeoutSeconds"]:
                return "TIMED_OUT"
            self.path.append(name)
            state = STATES[name]
            assert set(state) - {"Type", "Comment"} <= self.KNOWN[state["Type"]], name
            try:
                data, name = getattr(self, f"_{state['Type'].lower()}")(state, data)
            except RuntimeError:
                return "FAILED"
        return "SUCCEEDED"

    def _wait(self, state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
        self.seconds += state["Seconds"]
        self._minute()
        return data, state["Next"]

    def _pass(self, state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
        result = state["Result"] if "Result" in state else self._filled(state["Parameters"], data)
        return self._placed(state, data, result), state["Next"]

    def _succeed(self, _state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
        return data, None

    def _choice(self, state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
        return data, next((one["Next"] for one in state["Choices"] if self._holds(one, data)), state["Default"])

    def _task(self, state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
        assert state["Resource"] == "${FunctionArn}"
        (retry,) = state["Retry"]
        assert retry["ErrorEquals"] == ["States.ALL"]
        for number in range(retry["MaxAttempts"] + 1):
            try:
                result = json.loads(json.dumps(self._call(self._filled(state["Parameters"], data))))
                return self._placed(state, data, result), state.get("Next")
            except Exception as error:
                failure = {"Error": type(error).__name__, "Cause": json.dumps({"errorMessage": str(error)})}
                self.seconds += retry["IntervalSeconds"] * retry["BackoffRate"] ** number
        for one in state.get("Catch", []):
            assert one["ErrorEquals"] == ["States.ALL"]
            return self._placed(one, data, failure), one["Next"]
        raise RuntimeError(failure)

    def _filled(self, template: dict[str, Any], data: Any) -> dict[str, Any]:
        return {
            key.removesuffix(".$"): self._read(value, data) if key.endswith(".$") else value
            for key, value in template.items()
        }

    def _read(self, path: str, data: Any) -> Any:
        if path == "$$.Execution.StartTime":
            return "2999-01-01T00:00:00.000Z"  # so that only the count ends the loop here
        if added := re.fullmatch(r"States\.MathAdd\((\$[^,]+), (\d+)\)", path):
            return self._read(added[1], data) + int(added[2])
        found = data
        for part in path.removeprefix("$").split(".")[1:]:
            if not isinstance(found, dict) or part not in found:
                raise RuntimeError(f"States.Runtime: {path}")
            found = found[part]
        return found

    def _placed(self, state: dict[str, Any], data: Any, result: Any) -> Any:
        path = state.get("ResultPath", "$")
        return result if path == "$" else data | {path.removeprefix("$."): result}

    def _holds(self, rule: dict[str, Any], data: Any) -> bool:
        if "And" in rule:
            return all(self._holds(one, data) for one in rule["And"])
        if "IsPresent" in rule:
            try:
                self._read(rule["Variable"], data)
            except RuntimeError:
                return not rule["IsPresent"]
            return bool(rule["IsPresent"])
        value = self._read(rule["Variable"], data)
        if "BooleanEquals" in rule:
            return value is rule["BooleanEquals"]
        return bool(value >= rule["NumericGreaterThanEquals"])


@pytest.fixture
def module(load: Callable[[str, str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CLEAN_UP_LOOP", LOOP)
    return load("studio_user", "handler")


@pytest.fixture
def studio(module: Any) -> Studio:
    found = Studio(module)
    found.user("anna-churn", "anna@example.org", "churn")
    found.domain.spaces.append(Space("lab", "anna-churn"))
    found.domain.apps.append(App("default", space="lab"))
    return found


@pytest.fixture
def ask(studio: Studio, module: Any, server: Any, context: Any, request_event: Any) -> Asking:
    return Asking(module, server, context, request_event, "clean-up")


class TestDefinition:
    def test_is_for_json_paths_and_names_only_the_function(self) -> None:
        assert MACHINE["QueryLanguage"] == "JSONPath"
        assert set(re.findall(r"\$\{(\w+)\}", TEXT)) == {"FunctionArn"}

    def test_every_state_is_reached_and_every_next_exists(self) -> None:
        reached = {MACHINE["StartAt"]}
        while more := {name for one in reached for name in _leads_to(STATES[one])} - reached:
            reached |= more
        assert reached == set(STATES)

    def test_the_only_way_back_counts_waits_and_is_bounded(self) -> None:
        without = {name: _leads_to(state) for name, state in STATES.items() if name != "Count"}
        after: dict[str, set[str]] = {}
        for name in without:
            seen: set[str] = set()
            next_ones = [name]
            while next_ones:
                for one in without.get(next_ones.pop(), set()) - seen:
                    seen.add(one)
                    next_ones.append(one)
            after[name] = seen
        assert all(name not in seen for name, seen in after.items()), "a circle that does not count"
        assert STATES["Count"]["Parameters"]["attempt.$"] == "States.MathAdd($.attempt, 1)"
        (bound,) = [one for one in STATES["IsAnswered"]["Choices"] if "NumericGreaterThanEquals" in one]
        assert (bound["Variable"], bound["NumericGreaterThanEquals"]) == ("$.attempt", 100)
        assert [name for name, state in STATES.items() if "Count" in _leads_to(state)] == ["IsAnswered"]

    def test_ends_before_cloudformation_stops_waiting(self, module: Any) -> None:
        # The first pass, before the machine starts, has the function's own 120 seconds.
        assert MACHINE["TimeoutSeconds"] + 120 <= SERVICE_TIMEOUT
        last_look = 3300 + STATES["GiveTime"]["Seconds"] + 120
        assert last_look < MACHINE["TimeoutSeconds"]

    @pytest.mark.parametrize("name", [name for name, state in STATES.items() if state["Type"] == "Task"])
    def test_every_task_is_repeated_and_ends_after_the_function(self, name: str) -> None:
        assert STATES[name]["TimeoutSeconds"] > 120
        assert STATES[name]["Retry"][0]["ErrorEquals"] == ["States.ALL"]
        assert STATES[name]["Retry"][0]["MaxAttempts"] >= 2

    def test_what_fails_for_good_is_answered(self) -> None:
        assert STATES["GoOn"]["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "GiveUp"}]


class TestWalk:
    def _walk(self, ask: Asking, studio: Studio, call: Any = None) -> tuple[Walk, str]:
        event = ask.event("Delete", OWN_ID, ANNA)
        assert ask.handle(event) is None
        (given,) = studio.executions.values()

        def handle(turn: dict[str, Any]) -> dict[str, bool]:
            return {"answered": ask.handle(turn) is not None}

        walk = Walk(call or handle, studio.pass_time)
        return walk, walk.run(json.loads(given))

    def test_what_ends_is_answered(self, ask: Asking, studio: Studio, server: Any) -> None:
        walk, end = self._walk(ask, studio)
        assert (end, walk.path[-1]) == ("SUCCEEDED", "Answered")
        assert [sent.json["Status"] for sent in server.sent] == ["SUCCESS"]
        assert studio.domain.spaces == []

    def test_what_does_not_end_is_answered_failed_in_the_hundredth_attempt(
        self, ask: Asking, studio: Studio, server: Any
    ) -> None:
        studio.domain.apps[0].stubborn = True
        walk, end = self._walk(ask, studio)
        assert (end, walk.path[-1], walk.path.count("GoOn")) == ("SUCCEEDED", "Answered", 101)
        (sent,) = server.sent
        assert "StillStands: Of anna-churn there still is: app default" in sent.json["Reason"]
        assert walk.seconds < MACHINE["TimeoutSeconds"]

    def test_an_answer_that_does_not_arrive_is_given_again(
        self, ask: Asking, studio: Studio, server: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.sleep", lambda _seconds: None)
        server.plan = [503] * 6
        walk, end = self._walk(ask, studio)
        assert end == "SUCCEEDED"
        assert len(server.sent) == 7
        assert len({sent.body for sent in server.sent}) == 1
        waits = walk.path.count("GiveTime") * STATES["GiveTime"]["Seconds"]
        assert walk.seconds == waits + STATES["GoOn"]["Retry"][0]["IntervalSeconds"], "the task was repeated once"

    def test_a_function_that_fails_is_given_up_with_an_answer(self, ask: Asking, studio: Studio, server: Any) -> None:
        def broken(turn: dict[str, Any]) -> dict[str, bool]:
            if "give_up" not in turn:
                raise OSError("out of memory")
            return {"answered": ask.handle(turn) is not None}

        walk, end = self._walk(ask, studio, broken)
        assert (end, walk.path[-1]) == ("SUCCEEDED", "GiveUp")
        (sent,) = server.sent
        assert "LoopFailed: Waiting for apps and spaces to end failed: OSError: out of memory." in sent.json["Reason"]

    def test_a_function_that_never_answers_is_given_up(self, ask: Asking, studio: Studio, server: Any) -> None:
        def silent(turn: dict[str, Any]) -> dict[str, bool]:
            return {"answered": ask.handle(turn) is not None} if "give_up" in turn else {}

        walk, end = self._walk(ask, studio, silent)
        assert (end, walk.path.count("GoOn"), walk.path[-2:]) == ("SUCCEEDED", 101, ["TooMany", "GiveUp"])
        assert "TooManyAttempts" in server.sent[-1].json["Reason"]

    def test_a_function_that_is_gone_ends_as_failed(self, ask: Asking, studio: Studio, server: Any) -> None:
        def gone(_turn: dict[str, Any]) -> None:
            raise OSError("no such function")

        walk, end = self._walk(ask, studio, gone)
        assert (end, walk.path[-1], server.sent) == ("FAILED", "GiveUp", [])
