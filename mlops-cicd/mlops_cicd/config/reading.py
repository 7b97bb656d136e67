"""YAML text into plain values, and the line of every key.

A configuration is data: anchors, aliases, tags, directives and several documents are refused with the line, and so is what
YAML would quietly take: a key that is there twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mlops_cicd.config.problems import ConfigError, Place, Problem
from mlops_cicd.errors import shown

LARGEST = 128 * 1024
DEEPEST = 12
# Read as text whatever it looks like: 1.10 is a version and not the number 1.1.
AS_TEXT = ("framework_version",)
_BROKEN = "Mend the YAML there; mind the spaces that the line begins with."


@dataclass(frozen=True)
class Document:
    """A file's values, the line of each place in it, its nodes, and the keys that are there twice."""

    data: dict[str, Any]
    lines: dict[Place, int]
    root: MappingNode
    problems: list[Problem] = field(default_factory=list)


def read(text: str) -> Document:
    """Read YAML text. Raises ConfigError when there is no reading it at all."""
    if len(text) > LARGEST:
        raise _refused(
            1, f"the file has {len(text)} characters", f"Keep it below {LARGEST}; data belong into files of their own."
        )
    try:
        # As they come: a file that is nothing but brackets is refused at the first too many, long before its end.
        _refuse_tricks(YAML(typ="safe", pure=True).parse(text))
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        raise _broken(text, error) from error
    except (YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise _refused(1, f"this is no YAML ({shown(str(error))})", _BROKEN) from error
    if root is None or (isinstance(root, ScalarNode) and root.value == ""):
        raise _refused(1, "the file is empty", "Begin with `version: 1` and the sections of the seed's file.")
    if not isinstance(root, MappingNode):
        what = "a list" if isinstance(root, SequenceNode) else "one value"
        raise _refused(
            root.start_mark.line + 1,
            f"the file holds {what} and no sections",
            "Begin with `version: 1`, without a dash.",
        )
    document = Document({}, {(): root.start_mark.line + 1}, root)
    document.data.update(_mapping(root, (), document))
    return document


def _refuse_tricks(events: Iterable[Event]) -> None:
    """Refuse what makes a file mean more than it says; nothing has been built from it yet."""
    depth = documents = 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _refused(
                    line, "a second document begins here", "Take the line --- out: the file is one document."
                )
            if event.version or event.tags:
                raise _refused(line, "the file has a directive", "Take the line that begins with % out.")
        if isinstance(event, AliasEvent):
            raise _refused(line, f"*{shown(event.anchor)} is an alias", "Write the value out where it is needed.")
        if isinstance(event, NodeEvent) and event.anchor:
            raise _refused(
                line, f"&{shown(event.anchor)} is an anchor", "Take it out, and write values out where they are needed."
            )
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag and not _is_own(event):
            raise _refused(
                line, f"{shown(str(event.tag))} is a tag", "Take it out: a value is a text, a number, true or false."
            )
        depth += isinstance(event, CollectionStartEvent)
        depth -= isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise _refused(
                line, f"more than {DEEPEST} levels lie within one another", "No section has that many; take levels out."
            )


def _is_own(event: ScalarEvent | CollectionStartEvent) -> bool:
    """Say whether an event's tag is one that the parser gave itself: ! for a quoted text."""
    return str(event.tag) == "!"


def _value(node: Node, place: Place, document: Document) -> Any:
    if isinstance(node, MappingNode):
        return _mapping(node, place, document)
    if isinstance(node, SequenceNode):
        for index, each in enumerate(node.value):
            document.lines[(*place, index)] = each.start_mark.line + 1
        return [_value(each, (*place, index), document) for index, each in enumerate(node.value)]
    return _scalar(node, place)


def _mapping(node: MappingNode, place: Place, document: Document) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, ScalarNode):
            document.problems.append(
                Problem(line, place, "a list or a map is used as a key", "Write the key as a word.")
            )
            continue
        key = str(key_node.value)
        here = (*place, key)
        if key in values:
            first = document.lines[here]
            document.problems.append(
                Problem(line, here, f"the key is here a second time, after line {first}", "Keep one of them.")
            )
            continue
        document.lines[here] = line
        values[key] = _value(value_node, here, document)
    return values


def _scalar(node: Node, place: Place) -> Any:
    if place and place[-1] in AS_TEXT and not _is(node, "null"):
        return str(node.value)
    for kind in ("null", "bool", "int", "float"):
        if _is(node, kind):
            return _constructed(node)
    # Dates too: no key of the file is one.
    return str(node.value)


def _is(node: Node, kind: str) -> bool:
    return str(node.tag) == f"tag:yaml.org,2002:{kind}"


def _constructed(node: Node) -> Any:
    try:
        return YAML(typ="safe", pure=True).constructor.construct_object(node)
    except (ValueError, OverflowError):
        # A number with more digits than Python turns into one.
        return str(node.value)


def _broken(text: str, error: MarkedYAMLError) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    rows = text.splitlines()
    row = rows[line - 1] if line <= len(rows) else ""
    if "\t" in row[: len(row) - len(row.lstrip())] or "\\t" in str(error.problem):
        return _refused(line, "a tab stands where YAML wants spaces", "Put two spaces for each tab.")
    return _refused(line, f"this is no YAML ({error.problem or error.context})", _BROKEN)


def _refused(line: int, what: str, mend: str) -> ConfigError:
    return ConfigError([Problem(line, (), what, mend)])
