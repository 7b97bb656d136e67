"""A service in memory behind a real client: botocore checks every call and every answer; errors come where a test wants them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.validate import ParamValidator


class Refused(Exception):
    """What the service answers instead."""

    def __init__(self, code: str, message: str = "said AWS", status: int = 400) -> None:
        super().__init__(code)
        self.code, self.message, self.status = code, message, status


class Fake:
    """Answers the calls of a client by its methods `_Operation`.

    `calls` are operation names; `fails` are errors that the next calls of an operation get, None lets one through.
    `before` is called with the operation's name before each call, `after` after one that succeeded: what another invocation
    does meanwhile, or a Refused for an answer that got lost.
    """

    def __init__(self, client: Any) -> None:
        self.calls: list[str] = []
        self.fails: dict[str, list[Exception | None]] = {}
        self.before: Callable[[str], None] = lambda _operation: None
        self.after: Callable[[str], None] = lambda _operation: None
        client.meta.events.register_first("before-parameter-build.*.*", self._remember)
        client.meta.events.register_first("before-call.*.*", self._answer)

    def _remember(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self._params = params

    def _answer(self, model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        params = self._params
        _check(params, model.input_shape)
        try:
            self.before(model.name)
            self.calls.append(model.name)
            if self.fails.get(model.name) and (error := self.fails[model.name].pop(0)):
                raise error
            answer: dict[str, Any] = getattr(self, f"_{model.name}")(**params) or {}
            self.after(model.name)
        except Refused as error:
            facts = {"HTTPStatusCode": error.status}
            told = {"Code": error.code, "Message": error.message}
            return AWSResponse("", error.status, {}, None), {"Error": told, "ResponseMetadata": facts}
        if model.output_shape is not None:
            report = ParamValidator().validate(
                {name: value for name, value in answer.items() if name != "Body"}, model.output_shape
            )
            assert not report.has_errors(), report.generate_report()
        return AWSResponse("", 200, {}, None), answer | {"ResponseMetadata": {"HTTPStatusCode": 200}}


def _check(value: Any, shape: Any) -> None:
    """Check what botocore leaves to the service: patterns, enumerations and the most characters of what is sent."""
    if shape.type_name == "structure":
        for name, member in value.items():
            _check(member, shape.members[name])
    elif shape.type_name == "list":
        for member in value:
            _check(member, shape.member)
    elif shape.type_name == "string":
        pattern = shape.metadata.get("pattern")
        assert not pattern or re.fullmatch(pattern, value), f"{value!r} is no {shape.name}"
        assert value in (shape.enum or [value]), f"{value!r} is no {shape.name}"
        assert len(value) <= shape.metadata.get("max", len(value)), f"{value!r} is too long for {shape.name}"
    elif shape.type_name == "blob":
        assert len(value) <= shape.metadata.get("max", len(value)), f"too much for {shape.name}"
