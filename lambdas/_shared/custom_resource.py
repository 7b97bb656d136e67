"""Answer CloudFormation custom resources: once, in time, within 4096 bytes, and safe to repeat.

Used by every custom resource function of the platform; needs no IAM action, reads no environment variable.
Request and response fields: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
The response URL lets its holder decide about a stack, so it reaches neither `act` nor a log line nor an error text.
"""

from __future__ import annotations

import enum
import hashlib
import http.client
import json
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

from aws_lambda_powertools import Logger

LIMIT = 4096  # bytes of a whole response
ANSWER_SECONDS = 8.0  # kept back for delivering the answer; a third of the time when the function has little
ATTEMPTS = 6
REQUIRED = ("ResponseURL", "StackId", "RequestId", "LogicalResourceId")
LOGGER = Logger(service="custom-resource")


class NotARequest(Exception):
    """The event is no CloudFormation request; nobody waits for an answer."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"No CloudFormation request, it lacks {', '.join(missing)}: use this as a custom resource.")


class NotDelivered(Exception):
    """The response did not reach CloudFormation. Raised so that Lambda repeats the asynchronous event."""

    def __init__(self, logical_id: str, attempts: int, fault: str) -> None:
        super().__init__(f"No answer for {logical_id} after {attempts} attempts ({fault}): Lambda repeats the event.")


class TooLarge(Exception):
    """The data of an answer would make the response longer than CloudFormation takes."""

    def __init__(self, size: int, room: int) -> None:
        super().__init__(f"The data takes {size} bytes where {room} are left: return less, or where to find it.")


class _OutOfTime(BaseException):
    """No Exception, so that `except Exception` inside `act` cannot swallow it."""


@dataclass(frozen=True)
class Request:
    """What CloudFormation asks. `room` is how many bytes `json_size(data)` may be."""

    type: str
    logical_id: str
    physical_id: str
    properties: Mapping[str, Any]
    old_properties: Mapping[str, Any]
    room: int


@dataclass(frozen=True)
class Answer:
    """The outcome. Without a physical id the present one stays; another one on Update asks for a replacement."""

    physical_id: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)


class Later(enum.Enum):
    """The type of LATER, so that a checker knows it from an Answer."""

    LATER = "later"


# What `act` gives when the work goes on: CloudFormation hears nothing until `answer` is called with the same event again.
LATER: Final = Later.LATER

Act = Callable[[Request], Answer | Later]
Instead = Callable[[Request, str], Answer]


def json_size(value: object) -> int:
    """Count the bytes a value takes inside a response."""
    return len(_encode(value))


def answer(event: Mapping[str, Any], context: Any, act: Act, instead: Instead | None = None) -> bool:
    """Run `act` and tell CloudFormation the outcome; give False when `act` said LATER, so that nothing was sent.

    When `act` raises, runs out of time or returns too much, the answer is FAILED with the reason, or, for a resource
    that must never fail a stack, SUCCESS with what `instead(request, reason)` returns. Lambda may repeat an event, so
    `act` must be safe to repeat. True also stands for an answer that was refused for good: nobody waits for another.
    Raises NotARequest, and NotDelivered when the network stayed down.
    """
    missing = [key for key in REQUIRED if not isinstance(event.get(key), str) or not event[key]]
    if missing:
        raise NotARequest(missing)
    request = _request(event)
    told: dict[str, Any] = {"request_type": request.type, "logical_id": request.logical_id, "stack_id": event["StackId"],
                            "physical_id": request.physical_id}  # fmt: skip
    decided = _decide(event, context, request, act, instead)
    if decided is None:
        LOGGER.info("answer comes later", extra=told)
        return False
    body, facts = decided
    attempts, fault = _deliver(event["ResponseURL"], body, context, request.logical_id)
    told |= {"attempts": attempts, "bytes": len(body), **facts}
    if fault:
        # Refused for good, most likely an expired URL: CloudFormation has stopped waiting, and acting again would
        # only change a stack that has moved on.
        LOGGER.error("answer refused", extra={**told, "fault": fault})
    else:
        LOGGER.info("answered", extra=told)
    return True


def physical_id(stack_id: str, logical_id: str) -> str:
    """Derive an id that a repeated Create derives again, and that no other resource of any stack has."""
    stack = stack_id.split("/")[1] if stack_id.count("/") == 2 else "stack"
    return f"{stack}-{logical_id}-{hashlib.sha256(f'{stack_id}|{logical_id}'.encode()).hexdigest()[:12]}"


def _request(event: Mapping[str, Any]) -> Request:
    given = event.get("PhysicalResourceId")
    kept = str(given) if given and event.get("RequestType") != "Create" else None
    own = kept or physical_id(event["StackId"], event["LogicalResourceId"])
    return Request(
        type=str(event.get("RequestType")),
        logical_id=event["LogicalResourceId"],
        physical_id=own,
        properties=event.get("ResourceProperties") or {},
        old_properties=event.get("OldResourceProperties") or {},
        room=_room(event, own),
    )


def _decide(
    event: Mapping[str, Any], context: Any, request: Request, act: Act, instead: Instead | None
) -> tuple[bytes, dict[str, str]] | None:
    """Give the response and what to log of it; None for LATER."""
    try:
        with _alarm(_remaining(context) - min(ANSWER_SECONDS, _remaining(context) / 3)):
            if request.type not in ("Create", "Update", "Delete"):
                raise ValueError(f"Unknown request type {request.type}")
            outcome = act(request)
            return None if outcome is LATER else (_success(event, request, outcome), {"status": "SUCCESS"})
    except _OutOfTime:
        reason = "Stopped shortly before the function's time limit: repeat the operation, or raise the limit"
        LOGGER.warning("out of time", extra={"logical_id": request.logical_id})
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        LOGGER.exception("act failed", extra={"logical_id": request.logical_id})
    if instead is not None:
        try:
            return _success(event, request, instead(request, reason)), {"status": "SUCCESS", "reason": reason}
        except Exception as error:
            reason = f"{reason}; then {type(error).__name__}: {error}"
    return _failure(event, request, reason, context), {"status": "FAILED", "reason": reason}


def _envelope(event: Mapping[str, Any], status: str, own_id: str, **more: object) -> bytes:
    echoed = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    return _encode({"Status": status, "PhysicalResourceId": own_id, **echoed, **more})


def _room(event: Mapping[str, Any], own_id: str) -> int:
    return LIMIT - len(_envelope(event, "SUCCESS", own_id, Data={})) + len("{}")


def _success(event: Mapping[str, Any], request: Request, outcome: Answer) -> bytes:
    own_id = request.physical_id if request.type == "Delete" else outcome.physical_id or request.physical_id
    body = _envelope(event, "SUCCESS", own_id, Data=dict(outcome.data))
    if len(body) > LIMIT:
        raise TooLarge(json_size(outcome.data), _room(event, own_id))
    return body


def _failure(event: Mapping[str, Any], request: Request, reason: str, context: Any) -> bytes:
    where = f" (log stream {getattr(context, 'log_stream_name', 'unknown')})"
    while True:
        body = _envelope(event, "FAILED", request.physical_id, Reason=reason + where)
        if len(body) <= LIMIT or not reason:
            return body
        # A character takes at most 12 bytes when escaped, so this never cuts more than needed.
        reason = reason[: -max(1, (len(body) - LIMIT) // 12)]


def _encode(value: object) -> bytes:
    # Escaped to ASCII: a lone surrogate from a template would make strict UTF-8 encoding fail.
    return json.dumps(value, separators=(",", ":")).encode("ascii")


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise _OutOfTime in the body after some seconds.

    A signal, since a watching thread could answer but not stop the work, which would go on, frozen and thawed, into
    the next invocation. Signals need the main thread, where Lambda runs handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _remaining(context: Any) -> float:
    return float(context.get_remaining_time_in_millis()) / 1000


def _deliver(url: str, body: bytes, context: Any, logical_id: str) -> tuple[int, str | None]:
    """Send the response; give the number of attempts and why it was refused for good, if it was."""
    attempt = 0
    while True:
        attempt += 1
        fault, passing = _put(url, body, min(5.0, max(0.5, _remaining(context) - 0.5)))
        if fault is None or not passing:
            return attempt, fault
        pause = 0.1 * 2**attempt
        if attempt == ATTEMPTS or _remaining(context) < pause + 1:
            raise NotDelivered(logical_id, attempt, fault)
        time.sleep(pause)


def _put(url: str, body: bytes, timeout: float) -> tuple[str | None, bool]:
    """Give (None, _) on success, else the fault, without the URL that some messages hold, and whether it may pass."""
    if not url.startswith(("https://", "http://")):
        return "the response URL is not HTTP", False
    # The URL is signed for an empty content type; urllib would add one of its own.
    put = urllib.request.Request(url, data=body, method="PUT", headers={"Content-Type": ""})  # noqa: S310 (checked)
    try:
        with urllib.request.urlopen(put, timeout=timeout):  # noqa: S310 (checked above)
            return None, False
    except urllib.error.HTTPError as error:
        error.close()
        return f"HTTP {error.code}", error.code >= 500 or error.code in (408, 429)
    except http.client.InvalidURL:
        return "the response URL is not valid", False
    except (OSError, http.client.HTTPException) as error:
        return type(getattr(error, "reason", error)).__name__, True
