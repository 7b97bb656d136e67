"""End the apps of a profile and delete its spaces, pass by pass, so that CloudFormation can delete the profile.

A profile can be deleted when it owns no space and no app of it runs:
https://docs.aws.amazon.com/sagemaker/latest/dg/domain-user-profile-remove.html
Every pass looks anew at what stands, so it does not matter which pass did what, or that a person starts another app.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError
from names import PROFILE, BadProperty, Refused, digest
from users import PAGE, DomainGone, code, domain_id, is_gone, of_domain, text

# Deleted apps stay in lists for a day. A failed one is in nobody's way, and an attempt to delete it is an error:
# https://docs.aws.amazon.com/sagemaker/latest/dg/gs-studio-delete-domain.html
ENDED = ("Deleted", "Failed")
# What passes, or what a person has to see in the message when the time is over.
NOT_NOW = ("ResourceInUse", "ConflictException", "ValidationException")
BUSY = ("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "RequestThrottled")
MOST_ATTEMPTS = 100
MOST_SECONDS = 3300.0  # since the loop began; CloudFormation waits an hour for a custom resource and no longer
NAMED = 10  # how many things a message names


class StillStands(Refused):
    """The time is over and something of the profile would not end."""

    def __init__(self, profile: str, stands: list[str]) -> None:
        told = "; ".join(stands[:NAMED]) + (f"; {len(stands) - NAMED} more" if len(stands) > NAMED else "")
        super().__init__(f"Of {profile} there still is: {told}. Delete again, which goes on from here; what does not end "
                         "even then, delete in SageMaker's console first.")  # fmt: skip


class LoopFailed(Refused):
    """The loop that waits has failed itself."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"Waiting for apps and spaces to end failed: {cause[:600]}. Delete again, which goes on from here; if it "
                         "fails again, look at the log of this function.")  # fmt: skip


class LoopNotStarted(Refused):
    """The loop that would wait cannot be started."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Apps or spaces need time to end, and the loop that waits for them did not start ({why}): allow this "
                         "function states:StartExecution on it, then delete again.")  # fmt: skip


@dataclass(frozen=True)
class Whose:
    """The profile whose apps and spaces shall end."""

    domain: str
    profile: str


@dataclass(frozen=True)
class Turn:
    """A turn of the loop. `started` is when the loop began."""

    attempt: int
    started: datetime | None

    def is_last(self, now: datetime) -> bool:
        """Tell whether CloudFormation has to be answered now."""
        late = self.started is not None and (now - self.started).total_seconds() >= MOST_SECONDS
        return late or self.attempt >= MOST_ATTEMPTS


@dataclass(frozen=True)
class App:
    """An app that has not ended. `space` is empty for an app of the profile itself."""

    type: str
    name: str
    space: str
    status: str

    def __str__(self) -> str:
        return f"app {self.name} ({self.type}{f' in space {self.space}' if self.space else ''})"


@dataclass(frozen=True)
class Space:
    """A space that the profile owns, with its apps that have not ended."""

    name: str
    status: str
    apps: tuple[App, ...]

    def __str__(self) -> str:
        return f"space {self.name}"


@dataclass(frozen=True)
class Found:
    """What stands."""

    apps: tuple[App, ...]
    spaces: tuple[Space, ...]

    def told(self, refusals: Mapping[str, str]) -> list[str]:
        """Say it with statuses, and with what was said to whoever asked it to end."""
        things: list[App | Space] = [*self.apps, *(app for space in self.spaces for app in space.apps), *self.spaces]
        why = {thing: f" ({refusals[str(thing)]})" if str(thing) in refusals else "" for thing in things}
        return [f"{thing}: {thing.status}{why[thing]}" for thing in things]


class _NotNow(Exception):
    """AWS is busy, or the time of this pass is over: another pass will do."""


def whose(properties: Mapping[str, Any]) -> Whose:
    """Read the properties. Raises Refused."""
    profile = text(properties, "UserProfileName")
    if not PROFILE.fullmatch(profile):
        raise BadProperty("UserProfileName", "the name of a profile")
    return Whose(domain_id(properties), profile)


def turn(event: Mapping[str, Any]) -> Turn:
    """Read which turn of the loop it is; what cannot be read does not stop the loop."""
    attempt, started = event.get("attempt"), event.get("started")
    try:
        began = datetime.fromisoformat(str(started))
    except ValueError:
        began = None
    zoned = began if began is not None and began.tzinfo is not None else None
    return Turn(attempt if isinstance(attempt, int) else 0, zoned)


def cause(failure: object, secret: str) -> str:
    """Say in words what the loop caught: {Error, Cause}, where Cause is often JSON of Lambda. `secret` is cut out."""
    told = failure if isinstance(failure, Mapping) else {"Cause": failure}
    said = str(told.get("Cause", ""))
    try:
        document = json.loads(said)
    except ValueError:
        document = None
    if isinstance(document, dict):
        said = str(document.get("errorMessage", said))
    return ": ".join(part for part in (str(told.get("Error", "")), said) if part).replace(secret, "...")


def start_loop(states: Any, loop: str, event: Mapping[str, Any], profile: str) -> None:
    """Hand the event to the state machine `loop`; an event that comes again starts nothing new. Raises LoopNotStarted."""
    if not loop:
        raise LoopNotStarted("CLEAN_UP_LOOP is not set")
    own = digest("|".join(str(event[key]) for key in ("StackId", "LogicalResourceId", "RequestId")))
    try:
        states.start_execution(
            stateMachineArn=loop, name=f"{profile}-{own[:12]}", input=json.dumps({"event": event, "attempt": 0})
        )
    except ClientError as error:
        if code(error) != "ExecutionAlreadyExists":
            # Neither the text nor the error itself goes on: they may repeat the input, in which the response URL stands.
            raise LoopNotStarted(code(error)) from None


class CleanUp:
    """The apps and spaces of one profile. `has_time` says whether this pass may make another call."""

    def __init__(self, client: Any, of: Whose, has_time: Callable[[], bool]) -> None:
        self._client, self._of, self._has_time = client, of, has_time

    def go_on(self) -> list[str]:
        """Ask everything to end that can be asked now, and say what still stands; nothing when all is gone.

        Raises what AWS refuses for good, such as a missing permission.
        """
        try:
            found = self._look()
        except DomainGone:
            return []
        except _NotNow as error:
            return [f"what could not be looked up ({error})"]
        if not found.apps and not found.spaces:
            return []
        refusals = self._ask(found)
        try:
            return self._look().told(refusals)
        except DomainGone:
            return []
        except _NotNow:
            return found.told(refusals)

    def _look(self) -> Found:
        domain = {"DomainIdEquals": self._of.domain}
        with self._now(), of_domain(self._client, self._of.domain):
            spaces = self._pages("list_spaces", "Spaces", domain)
        own = [space for space in spaces if _owner_of(space).lower() == self._of.profile.lower()]
        # The apps of a space may show the profile too; they are looked up with their space, which may be another person's.
        apps = self._apps(domain | {"UserProfileNameEquals": self._of.profile})
        return Found(
            tuple(app for app in apps if not app.space),
            tuple(
                Space(one["SpaceName"], one["Status"], self._apps(domain | {"SpaceNameEquals": one["SpaceName"]}))
                for one in own
            ),
        )

    def _apps(self, asked: Mapping[str, str]) -> tuple[App, ...]:
        try:
            apps = self._pages("list_apps", "Apps", asked)
        except ClientError as error:
            if is_gone(error):  # the profile or the space
                return ()
            raise
        return tuple(
            App(app["AppType"], app["AppName"], app.get("SpaceName", ""), app["Status"])
            for app in apps
            if app["Status"] not in ENDED
        )

    def _ask(self, found: Found) -> dict[str, str]:
        """Ask apps to end, and spaces without apps to go; give why, for those that would not."""
        refusals: dict[str, str] = {}
        for app in (*found.apps, *(app for space in found.spaces for app in space.apps)):
            if app.status != "Deleting":
                place = {"SpaceName": app.space} if app.space else {"UserProfileName": self._of.profile}
                self._end(app, refusals, self._client.delete_app, AppType=app.type, AppName=app.name, **place)
        for space in found.spaces:
            if not space.apps and space.status != "Deleting":
                self._end(space, refusals, self._client.delete_space, SpaceName=space.name)
        return refusals

    def _end(self, thing: App | Space, refusals: dict[str, str], call: Callable[..., Any], **named: str) -> None:
        try:
            with self._now():
                call(DomainId=self._of.domain, **named)
        except _NotNow as error:
            refusals[str(thing)] = str(error)
        except ClientError as error:
            if is_gone(error):
                return
            if code(error) not in NOT_NOW:
                raise
            refusals[str(thing)] = f"{code(error)}, {error.response['Error'].get('Message', '')[:200]}"

    def _pages(self, call: str, key: str, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        with self._now():
            found: list[dict[str, Any]] = []
            for page in self._client.get_paginator(call).paginate(**asked, PaginationConfig=PAGE):
                found += page[key]
                if not self._has_time():
                    raise _NotNow("the time of this pass is over")
            return found

    @contextmanager
    def _now(self) -> Iterator[None]:
        """Raise _NotNow when the time is over or AWS is busy, and every other error as it is."""
        if not self._has_time():
            raise _NotNow("the time of this pass is over")
        try:
            yield
        except ClientError as error:
            if code(error) in BUSY or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
                raise _NotNow(f"AWS is busy: {code(error)}") from error
            raise
        except (HTTPClientError, BotoConnectionError) as error:
            raise _NotNow(f"AWS does not answer: {type(error).__name__}") from error


def _owner_of(space: Mapping[str, Any]) -> str:
    return str(space.get("OwnershipSettingsSummary", {}).get("OwnerUserProfileName", ""))
