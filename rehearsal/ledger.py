"""What stack operations did, and with what behind it: the emulator's own code (live) or AWS's schema (recorded)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """One call of the stack engine for one resource; `operation` names the stack's operation, `phase` its status."""

    action: str
    type: str
    logical_id: str
    stack: str
    stack_id: str
    operation: str
    phase: str
    account: str
    region: str
    properties: Mapping[str, Any]
    previous: Mapping[str, Any] = field(default_factory=dict)
    physical_id: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """Give what stays true of the resource after the call."""
        passing = ("action", "operation", "phase", "previous", "physical_id")
        return {name: value for name, value in asdict(self).items() if name not in passing}


@dataclass(frozen=True)
class Answer:
    """What a call made; `seed` is what generated names were drawn from, another one for a replacement."""

    physical_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    seed: str = ""


class Ledger:
    """Keep what exists and what was done."""

    def __init__(self) -> None:
        self._resources: dict[tuple[str, str, str], tuple[Request, Answer, dict[str, str]]] = {}
        self._operations: dict[str, dict[str, Any]] = {}
        self._lost: set[tuple[str, str]] = set()

    def known(self, request: Request) -> Answer | None:
        """Give what an earlier call made of the resource, None when it made nothing."""
        entry = self._resources.get((request.stack_id, request.logical_id, request.physical_id))
        return entry[1] if entry else None

    def of(self, type_name: str, account: str, region: str) -> list[tuple[Request, Answer]]:
        """List what stacks made of a type in an account and region; a type ending in "::" stands for all of a service."""
        held = [(request, made) for request, made, _ in list(self._resources.values())]
        place = (account, region)
        fits = str.startswith if type_name.endswith("::") else str.__eq__
        return [(r, made) for r, made in held if fits(r.type, type_name) and (r.account, r.region) == place]

    def everywhere(self, type_name: str, account: str) -> list[tuple[Request, Answer]]:
        """List what stacks made of a type in an account, in all regions."""
        held = [(request, made) for request, made, _ in list(self._resources.values())]
        return [(r, made) for r, made in held if (r.type, r.account) == (type_name, account)]

    def lost(self, request: Request, physical_id: str) -> None:
        """Strike out what its service deleted behind the stack's back."""
        self._resources.pop((request.stack_id, request.logical_id, physical_id), None)
        self._lost.add((request.stack_id, request.logical_id))

    def holds(self, request: Request, physical_id: str) -> bool:
        """Tell whether the account and region have a resource of that type and name already, whoever made it."""
        wanted = (request.account, request.region, request.type, physical_id)
        entries = self._resources.values()
        return any((r.account, r.region, r.type, made.physical_id) == wanted for r, made, _ in entries)

    def done(self, request: Request, answer: Answer, behind: dict[str, str]) -> None:
        """Enter a call that succeeded, and strike out what it deleted; `behind` names kind and handler."""
        if request.action == "delete":
            self._resources.pop((request.stack_id, request.logical_id, request.physical_id), None)
        else:
            self._resources[request.stack_id, request.logical_id, answer.physical_id] = (request, answer, behind)
        is_same = request.action == "update" and request.properties == request.previous
        self._note(request, behind, "unchanged" if is_same else "done")

    def failed(self, request: Request, behind: dict[str, str], error: Exception) -> None:
        """Enter a call that failed."""
        self._note(request, behind, f"failed: {error}")

    def resources(self) -> list[dict[str, Any]]:
        """List what exists, retained resources of deleted stacks included."""
        return [{**request.facts, **asdict(made), **behind} for request, made, behind in self._resources.values()]

    def report(self, standing: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """Count types per operation; `standing` lists (stack id, logical id) of what stacks say they have.

        `ignored` names what a stack claims to have although nothing here made it; it must stay empty."""
        made = {(stack_id, logical_id) for stack_id, logical_id, _ in self._resources} | self._lost
        return {
            "operations": [{**operation, **_counted(operation["calls"])} for operation in self._operations.values()],
            "ignored": sorted(f"{stack_id}/{name}" for stack_id, name in standing if (stack_id, name) not in made),
        }

    def _note(self, request: Request, behind: dict[str, str], outcome: str) -> None:
        facts = ("account", "region", "stack", "stack_id", "phase")
        new = {name: getattr(request, name) for name in facts} | {"calls": []}
        call = {name: getattr(request, name) for name in ("logical_id", "type", "action")}
        self._operations.setdefault(request.operation, new)["calls"].append({**call, **behind, "outcome": outcome})


def _counted(calls: Iterable[Mapping[str, str]]) -> dict[str, dict[str, int]]:
    kinds = {(call["logical_id"], call["type"]): call["kind"] for call in calls}
    return {kind: dict(Counter(t for (_, t), k in kinds.items() if k == kind)) for kind in ("live", "recorded")}
