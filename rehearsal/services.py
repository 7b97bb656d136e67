"""A host for services that the emulator lacks: their JSON protocol, read off botocore's service models.

A request is held against the model, then against the caller's policies, then played by a method that has the operation's
name. An answer that does not fit the model is an error of the rehearsal, and an operation without a method is refused."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib import import_module
from typing import Any

from rehearsal.errors import RehearsalError
from rehearsal.ministack_internals import access
from rehearsal.schemas import compiled

Json = dict[str, Any]


class ServiceError(RehearsalError):
    """An answer with one of the service's own error codes."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class NotPlayed(ServiceError):
    """An operation that AWS has and the rehearsal has not."""

    def __init__(self, service: str, operation: str) -> None:
        super().__init__(
            "UnknownOperationException",
            f"The rehearsal does not play {service}:{operation}: add it to the class that plays {service}.",
        )


@dataclass(frozen=True)
class Call:
    """One request: of whom, where, for what."""

    operation: str
    request: Mapping[str, Any]
    account: str
    region: str
    access_key: str

    @cached_property
    def caller(self) -> access.Caller:
        """Say who calls."""
        return access.caller(self.access_key, self.account)

    @property
    def place(self) -> tuple[str, str]:
        """Give account and region."""
        return self.account, self.region

    def arn(self, service: str, resource: str) -> str:
        """Give the ARN of a resource of the caller's account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def allow(self, action: str, arn: str = "*", **keys: Any) -> None:
        """Refuse the call unless the caller's policies and boundary allow an action; `keys` are condition keys of it."""
        refusal = access.refusal(self.access_key, action, arn, self.region, keys)
        if refusal:
            raise ServiceError("AccessDeniedException", refusal)


class Service:
    """One service: a method per operation it plays, named as boto3 names it, on itself or on one of its parts."""

    name: str

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.parts: list[object] = []

    @cached_property
    def model(self) -> Any:
        """Give botocore's model of the service."""
        return import_module("botocore.session").get_session().get_service_model(self.name)

    def answer(self, operation: str, body: bytes, account: str, region: str, access_key: str) -> tuple[int, Json]:
        """Play one request; give the HTTP status and the JSON document."""
        try:
            if operation not in self.model.operation_names:
                raise NotPlayed(self.name, operation)
            shapes = self.model.operation_model(operation)
            named = import_module("botocore").xform_name(operation)
            play = next((getattr(part, named) for part in (self, *self.parts) if hasattr(part, named)), None)
            if play is None:
                raise NotPlayed(self.name, operation)
            request = json.loads(body or b"{}")
            if problems := _problems(request, shapes.input_shape):
                found = f"{len(problems)} validation error{'s' * (len(problems) > 1)} detected: {'; '.join(problems)}"
                raise ServiceError("ValidationException", found)
            with self.lock:
                answer = play(Call(operation, request, account, region, access_key)) or {}
            return 200, shaped(answer, shapes.output_shape) if shapes.output_shape else {}
        except ServiceError as error:
            return 400, {"__type": error.code, "message": str(error)}


def tags_of(listed: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Give AWS's list of tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in listed or ()}


def listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Give tags as AWS lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tag_keys(asked: Mapping[str, str], held: Mapping[str, str], service: str = "") -> dict[str, Any]:
    """Give the condition keys of tags that a request sets and of those its resource has."""
    keys: dict[str, Any] = {f"aws:RequestTag/{key}": value for key, value in asked.items()}
    if asked:
        keys["aws:TagKeys"] = list(asked)
    for prefix in ("aws", service) if service else ("aws",):
        keys |= {f"{prefix}:ResourceTag/{key}": value for key, value in held.items()}
    return keys


def page(items: Sequence[Any], size: int, token: str | None) -> tuple[list[Any], str | None]:
    """Give one page of a list, and the token of the next when there is one."""
    start = int(token) if token and token.isdigit() else 0
    return list(items[start : start + size]), str(start + size) if len(items) > start + size else None


def shaped(value: Any, shape: Any, strict: bool = True) -> Any:
    """Give a value in a shape of the model, dates as seconds; what the model lacks is an error, or left out."""
    kind = shape.type_name
    if kind == "structure":
        members = shape.members
        if strict and (unknown := [name for name in value if name not in members and not name.startswith("_")]):
            raise ServiceError("InternalFailure", f"{shape.name} has no {', '.join(unknown)}: mend the rehearsal.")
        kept = {name: member for name, member in value.items() if member is not None and name in members}
        return {name: shaped(member, members[name], strict) for name, member in kept.items()}
    if kind == "list":
        return [shaped(item, shape.member, strict) for item in value]
    if kind == "map":
        return {name: shaped(member, shape.value, strict) for name, member in value.items()}
    if kind == "timestamp":
        return value.timestamp() if isinstance(value, datetime) else value
    if kind == "blob":
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value
    if kind in ("integer", "long"):
        return int(value)
    return str(value).lower() == "true" if kind == "boolean" else value


def as_answered(value: Any, shape: Any) -> Any:
    """Give what a template says in a shape of the API: templates write Name where the API writes name."""
    if shape.type_name == "structure":
        given = {key.lower(): member for key, member in value.items()}
        known = {name: given[name.lower()] for name in shape.members if name.lower() in given}
        return {name: as_answered(member, shape.members[name]) for name, member in known.items()}
    if shape.type_name == "list":
        return [as_answered(item, shape.member) for item in value]
    if shape.type_name == "map":
        return {str(key): as_answered(item, shape.value) for key, item in value.items()}
    return str(value) if shape.type_name == "string" else shaped(value, shape)


def _problems(request: Any, shape: Any) -> list[str]:
    """List what the model refuses in a request: what botocore checks before it sends, and what only AWS checks."""
    if shape is None:
        return []
    report = import_module("botocore.validate").ParamValidator().validate(request, shape)
    return [report.generate_report()] if report.has_errors() else list(_refused(request, shape, "request"))


def _refused(value: Any, shape: Any, path: str) -> Iterable[str]:
    if shape.type_name == "structure":
        for name, member in value.items():
            yield from _refused(member, shape.members[name], name[:1].lower() + name[1:])
    elif shape.type_name == "list":
        for number, item in enumerate(value, 1):
            yield from _refused(item, shape.member, f"{path}.{number}.member")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from _refused(item, shape.value, f"{path}.{key}.member")
    if isinstance(value, str) and shape.type_name == "string":
        rules = shape.metadata
        failed = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must"
        if shape.enum and value not in shape.enum:
            yield f"{failed} satisfy enum value set: [{', '.join(shape.enum)}]"
        if "pattern" in rules and not compiled(rules["pattern"]).fullmatch(value):
            yield f"{failed} satisfy regular expression pattern: {rules['pattern']}"
        if len(value) > rules.get("max", len(value)):
            yield f"{failed} have length less than or equal to {rules['max']}"
