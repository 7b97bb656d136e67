"""What one project and one user take of each quota, and how many fit: counted in the templates, with tools/quotas.json for
what they use at run time."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from generators.kit.publishing import ROOT
from generators.kit.registry import Rendered, rendered
from tools.conditions import created, nested_values
from tools.errors import MlopsError

DATA = ROOT / "tools" / "quotas.json"
INSTALL = ROOT / "generators" / "infra" / "quotas.json"
SHOWN = "us-east-1"
# Any of these says that there are credentials; without one nothing is asked of AWS.
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
               "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")  # fmt: skip
FACTS = ("service", "name", "default", "adjustable", "source")
KEYS = frozenset({"code", "types", "where", "platform", "project", "user", "at_once", "scope", "why", *FACTS})
# Quotas of an account, whatever the region, are kept in one region of the partition.
ACCOUNT_WIDE = {"aws": "us-east-1", "aws-us-gov": "us-gov-west-1", "aws-cn": "cn-northwest-1"}


class BadRow(MlopsError):
    """A row of the data says what can't be."""

    def __init__(self, row: Mapping[str, Any], what: str) -> None:
        super().__init__(f"tools/quotas.json: the row {row.get('code') or row.get('name')} {what}. Mend it there.")


@dataclass(frozen=True)
class Quota:
    """One quota, and what the platform, one project and one user take of it. `default` None: AWS's documentation doesn't say.

    `at_once`: it limits what runs at the same time. `applied` is the account's own value, where it was read."""

    service: str
    code: str | None
    name: str
    default: int | None
    adjustable: bool | None
    source: str | None
    scope: str
    platform: int
    project: int
    user: int
    at_once: bool
    why: str
    applied: int | None = None

    @property
    def value(self) -> int | None:
        """Give the value that holds: the account's own where it is known."""
        return self.default if self.applied is None else self.applied

    @property
    def projects_fit(self) -> int | None:
        """Give how many projects fit beside the platform, None where nothing says so."""
        return _fit(self.value, self.platform, self.project)

    @property
    def users_fit(self) -> int | None:
        """Give how many users fit beside the platform, None where nothing says so."""
        return _fit(self.value, self.platform, self.user)

    @property
    def fewest(self) -> float:
        """Give how few of either fit: what binds first comes first, what is unknown or shared last."""
        found = [number for number in (self.projects_fit, self.users_fit) if number is not None]
        return min(found, default=float("inf"))


def _fit(value: int | None, platform: int, each: int) -> int | None:
    return None if value is None or not each else max(0, (value - platform) // each)


def quotas(templates: Iterable[Rendered] | None = None) -> tuple[Quota, ...]:
    """Give every quota that something takes of, in the order in which they bind. Raises BadRow."""
    made = _made(tuple(templates) if templates is not None else rendered())
    facts = {
        item["Code"]: dict(zip(FACTS, (item["Service"], item["Name"], int(item["Default"]), item["Adjustable"], item["Source"]),
                               strict=True))
        for item in json.loads(INSTALL.read_text(encoding="utf-8"))["quotas"]
    }  # fmt: skip
    rows = json.loads(DATA.read_text(encoding="utf-8"))["quotas"]
    found = [_quota(row, facts, made) for row in rows]
    kept = [quota for quota in found if quota.platform or quota.project or quota.user]
    return _in_order(kept)


def _in_order(found: Iterable[Quota]) -> tuple[Quota, ...]:
    """Put first what binds first: of what exists, then of what runs at the same time."""
    return tuple(sorted(found, key=lambda quota: (quota.at_once, quota.fewest, quota.service, quota.name)))


def rates() -> tuple[dict[str, Any], ...]:
    """Give the rates that no number of raises takes away."""
    return tuple(json.loads(DATA.read_text(encoding="utf-8"))["rates"])


def _quota(row: Mapping[str, Any], facts: Mapping[str, Any], made: Mapping[str, Counter[str]]) -> Quota:
    if unknown := sorted(set(row) - KEYS):
        raise BadRow(row, f"has {', '.join(unknown)}")
    known = facts.get(row["code"], {})
    if twice := sorted(set(known) & set(row)):
        raise BadRow(row, f"says {', '.join(twice)} once more, which generators/infra/quotas.json says already")
    if missing := sorted(set(FACTS) - set(known) - set(row)):
        raise BadRow(row, f"lacks {', '.join(missing)}")
    if not row.get("types") and not row.get("why"):
        raise BadRow(row, "has a number without a reason: say `why`")
    said = {**known, **{name: row[name] for name in FACTS if name in row}}
    taken = {
        who: row.get(who, 0)
        + sum(made[who][_counted_as(type_, row.get("where", {}))] for type_ in row.get("types", ()))
        for who in ("platform", "project", "user")
    }
    return Quota(
        **said, **taken, code=row["code"], scope=row.get("scope", "region"), at_once=row.get("at_once", False),
        why=row.get("why", ""),
    )  # fmt: skip


def _made(templates: tuple[Rendered, ...]) -> dict[str, Counter[str]]:
    """Count what a launch with the defaults makes, by type: of the base, of a project and of a user."""
    bodies = {item.stack.name: item.body for item in templates}

    def most(is_one: Callable[[Rendered], bool]) -> Counter[str]:
        found: Counter[str] = Counter()
        for item in filter(is_one, templates):
            found |= _counted(item.stack.name, item.stack.trial.parameters, bodies)
        return found

    return {
        "platform": most(lambda item: item.stack.launch is not None),
        # Of several project templates the one that takes most.
        "project": most(lambda item: item.stack.product is not None and item.stack.product.in_studio),
        "user": most(lambda item: item.stack.product is not None and not item.stack.product.in_studio),
    }


def _counted(name: str, values: Mapping[str, str], bodies: Mapping[str, Mapping[str, Any]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for logical_id, type_ in created(bodies[name], values, SHOWN).items():
        found[type_] += 1
        for key, value in bodies[name]["Resources"][logical_id].get("Properties", {}).items():
            if isinstance(value, str):
                found[_counted_as(type_, {key: value})] += 1
    for child, given in nested_values(bodies[name], values, SHOWN).items():
        found += _counted(child, given, bodies)
    return found


def _counted_as(type_: str, where: Mapping[str, str]) -> str:
    return type_ + "".join(f" {key}={value}" for key, value in where.items())


def applied(found: Iterable[Quota], region: str = "") -> tuple[tuple[Quota, ...], str]:
    """Read the account's own values (GetServiceQuota), and give them with a sentence that says what was read.

    `region` is the one that the credentials' configuration names, without it. Never fails: what can't be read keeps its default."""
    listed = tuple(found)
    if not any(os.environ.get(name) for name in CREDENTIALS):
        return listed, "Defaults: there are no credentials in the environment."
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        # AWS's command line reads AWS_REGION first; boto3 knows the other name alone.
        session = boto3.Session(region_name=region or os.environ.get("AWS_REGION"))
        place = session.region_name or SHOWN
        partition = session.get_partition_for_region(place)
        config = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})
        clients = {name: session.client("service-quotas", region_name=name, config=config)
                   for name in {place, ACCOUNT_WIDE.get(partition, place)}}  # fmt: skip
    except (BotoCoreError, ValueError) as error:
        return listed, f"Defaults: the credentials can't be used ({error})."
    read, refused = [], []
    for quota in listed:
        where = ACCOUNT_WIDE.get(partition, place) if quota.scope == "account" else place
        try:
            if quota.code is None:
                raise LookupError
            answer = clients[where].get_service_quota(ServiceCode=quota.service, QuotaCode=quota.code)["Quota"]
            read.append(replace(quota, applied=int(answer["Value"])))
        except (LookupError, ClientError, BotoCoreError) as error:
            # AWS knows an applied value only where one was ever set or measured.
            if isinstance(error, BotoCoreError) or _is_refused(error):
                refused.append(quota.name)
            read.append(quota)
    number = sum(quota.applied is not None for quota in read)
    more = f" {len(refused)} could not be read: allow servicequotas:GetServiceQuota." if refused else ""
    ordered = tuple(sorted(read, key=lambda quota: (quota.fewest, quota.service, quota.name)))
    return (
        ordered,
        f"Applied values of the account in {place} for {number} of {len(read)} quotas, defaults for the others.{more}",
    )


def _is_refused(error: Exception) -> bool:
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    return bool(code) and code != "NoSuchResourceException"


def show(as_json: bool = False) -> None:
    """Print the table, or one JSON document."""
    found, said = applied(quotas())
    if as_json:
        rows = [{**asdict(quota), "projects_fit": quota.projects_fit, "users_fit": quota.users_fit} for quota in found]
        print(json.dumps({"values": said, "quotas": rows, "rates": rates()}, indent=1))
        return
    print(said)
    lines = [("Quota", "value", "", "platform", "project", "user", "projects fit", "users fit"), *map(_line, found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = [cell.ljust(width) if column == 0 else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(line, widths, strict=True))]  # fmt: skip
        print("  ".join(cells).rstrip())
    print("Sources, and what is used at run time and why: docs/reference/quotas.md")


def _line(quota: Quota) -> tuple[str, ...]:
    value = number(quota.value) + ("*" if quota.applied is not None else "")
    kind = {True: "adjustable", False: "fixed", None: "unknown"}[quota.adjustable]
    taken = (str(quota.platform), str(quota.project), str(quota.user))
    return (
        f"{quota.service}: {quota.name}",
        value,
        kind,
        *taken,
        fit(quota, quota.project, quota.projects_fit),
        fit(quota, quota.user, quota.users_fit),
    )


def number(value: int | None) -> str:
    """Write a number, and what is not known as such."""
    return "unknown" if value is None else f"{value:,}"


def fit(quota: Quota, each: int, how_many: int | None) -> str:
    """Write how many fit of something that takes `each`."""
    if not each:
        return "-"
    return "unknown" if how_many is None else f"{how_many:,}{' at once' if quota.at_once else ''}"
