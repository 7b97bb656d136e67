"""Decide a request by policies, as IAM does. Small and strict: an element, operator, key or variable that is not known here is
an error, never a silent pass. Where AWS's own words leave room, the reading that allows less is taken.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from proofs.errors import Unreadable

VERSION = "2012-10-17"
ELEMENTS = frozenset({"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"})
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERAL = {"*": "*", "?": "?", "$": "$"}  # ${*} and the like stand for the characters themselves
Texts = tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """What is asked. `context` holds the keys that the request carries, in lower case; a multivalued key has a tuple.

    `reviewed` names the keys whose absence is known to be real (those ending in `/` stand for all that begin so): a
    condition on any other key is an error. `principals` are the names by which a resource's policy may mean the caller."""

    action: str
    resource: str
    context: Mapping[str, str | Texts] = field(default_factory=dict)
    reviewed: frozenset[str] = frozenset()
    principals: frozenset[str] = frozenset()

    def values(self, key: str, where: str) -> Texts | None:
        """Give the values of a condition key, None where the request has none. Raises Unreadable."""
        found = self._found(key, where)
        return (found,) if isinstance(found, str) else found or None

    def single(self, key: str, where: str) -> str | None:
        """Give the value of a single-valued key. Raises Unreadable for a multivalued one."""
        found = self._found(key, where)
        if isinstance(found, tuple):
            raise Unreadable(
                where, f"takes {key} as one value, which may have several: use ForAnyValue or ForAllValues."
            )
        return found

    def _found(self, key: str, where: str) -> str | Texts | None:
        name = key.lower()
        if name in self.context:
            return self.context[name]
        prefix = name.partition("/")[0] + "/"
        if name in self.reviewed or prefix in self.reviewed:
            return None
        raise Unreadable(where, f"asks for the key {key} at {self.action}, of which is not known whether it is sent.")


@dataclass(frozen=True)
class Statement:
    """A statement of a policy; `where` names it to a person. Only a resource's policy has principals."""

    where: str
    allows: bool
    actions: Texts
    not_actions: Texts
    resources: Texts
    not_resources: Texts
    condition: Mapping[str, Mapping[str, Texts]]
    principals: Texts | None = None

    def applies(self, request: Request) -> bool:
        """Tell whether the statement is about the request. Raises Unreadable."""
        if self.principals is not None and not request.principals & set(self.principals):
            return False
        return self._names(request.action) and self._covers(request) and self._holds(request)

    def _names(self, action: str) -> bool:
        if self.not_actions:
            return not any(covers(pattern, action) for pattern in self.not_actions)
        return any(covers(pattern, action) for pattern in self.actions)

    def _covers(self, request: Request) -> bool:
        # What is allowed is read narrowly and what is denied widely, where AWS says only that a wildcard "can" pass a colon.
        if self.not_resources:
            return not any(self._matches(pattern, request, wide=self.allows) for pattern in self.not_resources)
        return any(self._matches(pattern, request, wide=not self.allows) for pattern in self.resources)

    def _matches(self, pattern: str, request: Request, *, wide: bool) -> bool:
        parts = _filled(pattern, request, self.where)
        return parts is not None and bool(_resource_pattern(parts, wide).fullmatch(request.resource))

    def _holds(self, request: Request) -> bool:
        return all(
            _compare(operator, key, values, request, self.where)
            for operator, keys in self.condition.items()
            for key, values in keys.items()
        )


@dataclass(frozen=True)
class Decision:
    """What the policies say, and the statements that say it."""

    allowed_by: str = ""
    denied_by: str = ""

    @property
    def allowed(self) -> bool:
        """Tell whether the request passes: something allows it, nothing denies it."""
        return bool(self.allowed_by) and not self.denied_by

    @property
    def reason(self) -> str:
        """Say why it does not pass."""
        return f"denied by {self.denied_by}" if self.denied_by else "allowed by no statement"


def decide(statements: Iterable[Statement], request: Request) -> Decision:
    """Decide a request by statements of one kind: all identity policies of a role, or its boundary. Raises Unreadable."""
    allowed = ""
    for statement in statements:
        if statement.allows and allowed:
            continue
        if statement.applies(request):
            if not statement.allows:
                return Decision(allowed, statement.where)
            allowed = statement.where
    return Decision(allowed)


def read(document: Any, where: str, *, of_resource: bool = False) -> tuple[Statement, ...]:
    """Read an identity policy, a boundary or a resource's policy, resolved to plain values. Raises Unreadable."""
    if not isinstance(document, Mapping) or document.get("Version") != VERSION:
        raise Unreadable(where, f"is no policy of the version {VERSION}.")
    if unknown := sorted(set(document) - {"Version", "Id", "Statement"}):
        raise Unreadable(where, f"has the elements {', '.join(unknown)}.")
    listed = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    return tuple(
        _read(item, f"{where}/{item.get('Sid', f'statement {index}')}", of_resource)
        for index, item in enumerate(listed, 1)
    )


def _read(item: Mapping[str, Any], where: str, of_resource: bool) -> Statement:
    if unknown := sorted(set(item) - ELEMENTS - ({"Principal"} if of_resource else set())):
        raise Unreadable(where, f"has the elements {', '.join(unknown)}.")
    if item.get("Effect") not in ("Allow", "Deny"):
        raise Unreadable(where, f"has the effect {item.get('Effect')}.")
    for one, other in (("Action", "NotAction"), ("Resource", "NotResource")):
        if (one in item) == (other in item):
            raise Unreadable(where, f"has both or neither of {one} and {other}.")
    condition = {
        operator: {key: texts(values) for key, values in keys.items()}
        for operator, keys in item.get("Condition", {}).items()
    }
    for operator in condition:
        _operator(operator, where)
    return Statement(
        where,
        item["Effect"] == "Allow",
        texts(item.get("Action")),
        texts(item.get("NotAction")),
        texts(item.get("Resource")),
        texts(item.get("NotResource")),
        condition,
        _principals(item.get("Principal"), where) if of_resource else None,
    )


def _principals(value: Any, where: str) -> Texts:
    """Give principals as `AWS:arn...`, `Service:...`, or `*` for anybody."""
    if value == "*":
        return ("*",)
    if not isinstance(value, Mapping):
        raise Unreadable(where, f"has the principal {value}.")
    return tuple(f"{kind}:{name}" for kind, names in value.items() for name in texts(names))


def texts(value: Any) -> Texts:
    """Give one or many values as texts."""
    if value is None:
        return ()
    listed = value if isinstance(value, (list, tuple)) else [value]
    return tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in listed)


def covers(pattern: str, action: str) -> bool:
    """Tell whether a pattern of a policy names an action; case does not matter."""
    return bool(_glob(pattern.lower()).fullmatch(action.lower()))


@dataclass(frozen=True)
class _Operator:
    """A condition operator without its set operator and IfExists; `inverted` says that it asks for the opposite."""

    name: str
    quantifier: str
    if_exists: bool
    inverted: bool


@cache
def _operator(written: str, where: str) -> _Operator:
    quantifier, _, name = written.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    inverted = name.startswith("Not") or "Not" in name[1:]
    plain = name.replace("Not", "", 1)
    if quantifier not in ("", "ForAnyValue", "ForAllValues") or (plain not in _TESTS and name != "Null"):
        raise Unreadable(where, f"has the operator {written}.")
    if name == "Null" and (quantifier or if_exists):
        raise Unreadable(where, f"has the operator {written}.")
    return _Operator("Null" if name == "Null" else plain, quantifier, if_exists, inverted)


def _compare(written: str, key: str, wanted: Texts, request: Request, where: str) -> bool:
    operator = _operator(written, where)
    found = request.values(key, where)
    if operator.name == "Null":
        if set(wanted) - {"true", "false"}:
            raise Unreadable(where, f"compares Null with {', '.join(wanted)}.")
        return any((found is None) == (value == "true") for value in wanted)
    if found is None:
        if operator.if_exists or operator.quantifier == "ForAllValues":
            return True
        return operator.inverted and not operator.quantifier
    if not operator.quantifier:
        request.single(key, where)

    def fits(value: str) -> bool:
        return any(_tested(operator.name, pattern, value, request, where) for pattern in wanted) != operator.inverted

    quantifier = all if operator.quantifier == "ForAllValues" else any
    return quantifier(fits(value) for value in found)


def _tested(name: str, pattern: str, value: str, request: Request, where: str) -> bool:
    if not name.startswith(("String", "Arn")):
        if _VARIABLE.search(pattern):
            raise Unreadable(where, f"has a variable with {name}, which AWS does not replace.")
        return _TESTS[name]((pattern,), value)
    parts = _filled(pattern, request, where)
    # A variable without a value is equal to nothing and like nothing.
    return parts is not None and _TESTS[name](parts, value)


def _filled(pattern: str, request: Request, where: str) -> Texts | None:
    """Split a pattern at its variables: even parts are the policy's own text, odd ones plain values. None: one has no value."""
    parts = _VARIABLE.split(pattern)
    for index in range(1, len(parts), 2):
        name, _, default = parts[index].partition(",")
        name, default = name.strip(), default.strip()
        if name in _LITERAL:
            parts[index] = _LITERAL[name]
            continue
        value = request.single(name, where)
        if value is None and default:
            value = default.strip("'")
        if value is None:
            return None
        parts[index] = value
    return tuple(parts)


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern), re.DOTALL)


@cache
def _like(parts: Texts) -> re.Pattern[str]:
    return re.compile(
        "".join(re.escape(part) if index % 2 else _glob(part).pattern for index, part in enumerate(parts)), re.DOTALL
    )


@cache
def _resource_pattern(parts: Texts, wide: bool) -> re.Pattern[str]:
    """Compile a resource. A `*` passes a colon where it ends its segment; elsewhere only in the wide reading."""
    if wide or parts == ("*",):
        return _like(parts)
    found = []
    for index, part in enumerate(parts):
        if index % 2:
            found.append(re.escape(part))
            continue
        for at, char in enumerate(part):
            ends = part[at + 1 : at + 2] == ":" or (at + 1 == len(part) and index + 1 == len(parts))
            found.append({"*": ".*" if ends else "[^:]*", "?": "[^:]"}.get(char, re.escape(char)))
    return re.compile("".join(found), re.DOTALL)


def _plain(parts: Texts) -> str:
    return "".join(parts)


def _arn_like(parts: Texts, value: str) -> bool:
    """Compare ARNs segment by segment: a wildcard stays within its segment, but in the last one, which may hold colons."""
    pattern, found = _marked(parts).split(":", 5), value.split(":", 5)
    if len(pattern) != 6 or len(found) != 6:
        return _plain(parts) == "*"
    return all(_unmarked(part).fullmatch(segment) for part, segment in zip(pattern, found, strict=True))


# Wildcards that come out of a value are characters like any other.
_STAR, _MARK = "\ue000", "\ue001"


def _marked(parts: Texts) -> str:
    return "".join(p.replace("*", _STAR).replace("?", _MARK) if i % 2 else p for i, p in enumerate(parts))


@cache
def _unmarked(segment: str) -> re.Pattern[str]:
    return re.compile(_glob(segment).pattern.replace(_STAR, r"\*").replace(_MARK, r"\?"), re.DOTALL)


def _numeric(test: Callable[[float, float], bool]) -> Callable[[Texts, str], bool]:
    def compare(parts: Texts, value: str) -> bool:
        try:
            return test(float(value), float(_plain(parts)))
        except ValueError:
            return False

    return compare


def _in_network(parts: Texts, value: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(_plain(parts), strict=False)
    except ValueError:
        return False


_TESTS: Mapping[str, Callable[[Texts, str], bool]] = {
    "StringEquals": lambda parts, value: _plain(parts) == value,
    "StringEqualsIgnoreCase": lambda parts, value: _plain(parts).lower() == value.lower(),
    "StringLike": lambda parts, value: bool(_like(parts).fullmatch(value)),
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda parts, value: _plain(parts).lower() == value.lower(),
    "IpAddress": _in_network,
    "NumericEquals": _numeric(lambda value, wanted: value == wanted),
    "NumericLessThan": _numeric(lambda value, wanted: value < wanted),
    "NumericLessThanEquals": _numeric(lambda value, wanted: value <= wanted),
    "NumericGreaterThan": _numeric(lambda value, wanted: value > wanted),
    "NumericGreaterThanEquals": _numeric(lambda value, wanted: value >= wanted),
}


def read_all(documents: Sequence[tuple[str, Any]]) -> tuple[Statement, ...]:
    """Read several policies, each with the name it has for people. Raises Unreadable."""
    return tuple(statement for where, document in documents for statement in read(document, where))
