"""How a service acts for somebody: in a role it takes, in a thread of its own, and with an event that says what happened."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rehearsal.client import Session, client
from rehearsal.errors import Refused
from rehearsal.ministack_internals import access


@dataclass(frozen=True)
class Place:
    """An account and region of the emulator at an endpoint."""

    endpoint: str
    account: str
    region: str

    def arn(self, service: str, resource: str) -> str:
        """Give the ARN of a resource here."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def administrator(self, service: str) -> Any:
        """Give a boto3 client with all rights: for what a service does in its own name."""
        return client(self.endpoint, service, self.region, self.account)

    def taking(self, role_arn: str, source_arn: str, name: str) -> Acting:
        """Take a role for a resource of the service that `source_arn` is of. Raises Refused."""
        made = access.assume(role_arn, source_arn, name[:64])
        return Acting(self, Session(self.endpoint, made.access_key, made.secret_key, made.token), role_arn)

    def tell(self, source: str, title: str, resources: Sequence[str], detail: Mapping[str, Any]) -> None:
        """Send one of AWS's own events to the default bus, from a thread of its own: no service waits for its listeners."""
        entry = {"Source": source, "DetailType": title, "Resources": list(resources), "Detail": json.dumps(detail)}
        self.apart(lambda: self.administrator("events").put_events(Entries=[entry]))

    def apart(self, work: Callable[[], object], name: str = "rehearsal") -> threading.Thread:
        """Start work in a thread that belongs to this account and region."""

        def run() -> None:
            access.stand_in(self.account, self.region)
            work()

        started = threading.Thread(target=run, name=name, daemon=True)
        started.start()
        return started


@dataclass(frozen=True)
class Acting:
    """A service in a role."""

    place: Place
    session: Session
    role_arn: str

    def client(self, service: str) -> Any:
        """Give a boto3 client with the role's rights."""
        return self.session.client(service, self.place.region)

    def may(self, action: str, arn: str = "*", **keys: Any) -> None:
        """Refuse unless the role's policies and boundary allow an action. Raises Refused."""
        refused = access.refusal(self.session.access_key, action, arn, self.place.region, keys)
        if refused:
            raise Refused(refused)

    def as_role(self, role_arn: str, name: str) -> Acting:
        """Take another role from this one, as STS lets it."""
        return Acting(self.place, self.session.as_role(role_arn, name[:64]), role_arn)

    @property
    def environment(self) -> dict[str, str]:
        """Give the role's credentials and the endpoint as processes take them."""
        return {
            "AWS_ACCESS_KEY_ID": self.session.access_key,
            "AWS_SECRET_ACCESS_KEY": self.session.secret_key,
            "AWS_SESSION_TOKEN": self.session.token,
            "AWS_ENDPOINT_URL": self.place.endpoint,
            "AWS_REGION": self.place.region,
            "AWS_DEFAULT_REGION": self.place.region,
        }


def now() -> datetime:
    """Say what time it is."""
    return datetime.now(UTC)


def moment(time: datetime) -> str:
    """Write a time as events do."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
