"""What every stack operation did, and with what behind it: the emulator's own code (live) or AWS's schema (recorded)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """One call of the stack engine for one resource; `phase` is the stack's status, `operation` unique per operation."""

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


@dataclass(frozen=True)
class Resource:
    """A resource that exists; `handler` says what made it, `seed` what its generated names were drawn from."""

    account: str
    region: str
    stack: str
    stack_id: str
    logical_id: str
    type: str
    physical_id: str
    kind: str
    handler: str
    properties: Mapping[str, Any]
    attributes: Mapping[str, Any]
    seed: str = ""


class Ledger:
    """Keep what exists and what was done to it."""

    def __init__(self) -> None:
        self._resources: dict[tuple[str, str, str], Resource] = {}
        self._operations: dict[str, dict[str, Any]] = {}

    def put(self, request: Request, physical_id: str, attributes: Mapping[str, Any], kind: str, handler: str, seed: str) -> None:
        """Enter a resource that was created or changed."""
        self._resources[request.stack_id, request.logical_id, physical_id] = Resource(
            account=request.account, region=request.region, stack=request.stack, stack_id=request.stack_id,
            logical_id=request.logical_id, type=request.type, physical_id=physical_id, kind=kind, handler=handler,
            properties=request.properties, attributes=attributes, seed=seed,
        )  # fmt: skip

    def get(self, request: Request) -> Resource | None:
        """Give the resource a request is about, None when it was never entered."""
        return self._resources.get((request.stack_id, request.logical_id, request.physical_id))

    def remove(self, request: Request) -> None:
        """Strike out a deleted resource."""
        self._resources.pop((request.stack_id, request.logical_id, request.physical_id), None)

    def holds(self, request: Request, physical_id: str) -> bool:
        """Tell whether the account and region already have a resource of that type and name, whoever made it."""
        wanted = (request.account, request.region, request.type, physical_id)
        return any((r.account, r.region, r.type, r.physical_id) == wanted for r in self._resources.values())

    def note(self, request: Request, kind: str, handler: str, outcome: str) -> None:
        """Write down one call and how it ended."""
        operation = self._operations.setdefault(
            request.operation,
            {"account": request.account, "region": request.region, "stack": request.stack, "stack_id": request.stack_id,
             "phase": request.phase, "calls": []},
        )  # fmt: skip
        operation["calls"].append(
            {"logical_id": request.logical_id, "type": request.type, "action": request.action,
             "kind": kind, "handler": handler, "outcome": outcome}
        )  # fmt: skip

    def resources(self) -> list[dict[str, Any]]:
        """List what exists, retained resources of deleted stacks included."""
        return [asdict(resource) for resource in self._resources.values()]

    def report(self, standing: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """Count live and recorded types per operation; `standing` is (stack id, logical id) of what stacks say they have.

        `ignored` names what a stack claims to have although nothing here made it; it must stay empty."""
        known = {(stack_id, logical_id) for stack_id, logical_id, _ in self._resources}
        operations = []
        for operation in self._operations.values():
            kinds = {(call["logical_id"], call["type"]): call["kind"] for call in operation["calls"]}
            counted = {kind: Counter(t for (_, t), k in kinds.items() if k == kind) for kind in ("live", "recorded")}
            operations.append({**operation, **{kind: dict(sorted(count.items())) for kind, count in counted.items()}})
        return {"operations": operations, "ignored": sorted(f"{s}/{i}" for s, i in standing if (s, i) not in known)}

