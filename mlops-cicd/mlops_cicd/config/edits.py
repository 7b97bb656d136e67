"""Edits of a file's text at the marks of its nodes: start, end and what comes between them instead."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mlops_cicd.config.reading import Document

Edit = tuple[int, int, str]
# Words that YAML reads as something else, in any of its versions, are written in quotes.
_PLAIN = re.compile(r"(?!(?i:true|false|null|yes|no|on|off|y|n)$)[A-Za-z_][A-Za-z0-9_./+-]*")


def put_first(document: Document, text: str, row: str) -> Edit:
    """Put a row before the first key, and before the comment that belongs to that key."""
    start = _line_start(text, document.root.value[0][0].start_mark.index if document.root.value else 0)
    while start > 0 and text[_line_start(text, start - 1) : start].lstrip().startswith("#"):
        start = _line_start(text, start - 1)
    return start, start, row + _newline(text) * 2


def put_last(text: str, sections: Mapping[str, Mapping[str, Any]]) -> Edit:
    """Put sections at the end, their values each on a line."""
    newline = _newline(text)
    rows: list[str] = [] if text.endswith("\n") else [""]
    for section, values in sections.items():
        rows += ["", f"{section}:", *(f"  {key}: {_flow(value)}" for key, value in values.items())]
    return len(text), len(text), newline.join(rows) + newline


def replaced(document: Document, key: str, value: str) -> Edit:
    """Put another scalar in the place of a key's."""
    node = _value_of(document, key)
    return node.start_mark.index, node.end_mark.index, value


def bias_edits(document: Document, facets: Sequence[Mapping[str, Any]], text: str) -> list[Edit]:
    """Write the entries of an older bias_config as facets."""
    node = _value_of(document, "bias_config")
    inner = _inner(node)
    edits = [] if inner is not node else _wrapped(node, text)
    if isinstance(inner, SequenceNode):
        spans = [(each.start_mark.index, _end(each)) for each in inner.value]
        return edits + [
            _rewritten(text, start, end, facet, "")
            for (start, end), facet, each in zip(spans, facets, inner.value, strict=True)
            if not _is_facet(each)
        ]
    dash = "" if inner.flow_style else "- "
    if inner is not node and inner.flow_style:
        edits += [
            (inner.start_mark.index, inner.start_mark.index + 1, "["),
            (inner.end_mark.index - 1, inner.end_mark.index, "]"),
        ]
    return edits + [
        _rewritten(text, key.start_mark.index, _end(value), facet, dash)
        for (key, value), facet in zip(inner.value, facets, strict=True)
    ]


def _value_of(document: Document, key: str) -> Any:
    return next(value for each, value in document.root.value if each.value == key)


def _inner(node: Node) -> Any:
    """Return the node that holds the entries: below facets, or the section itself."""
    if isinstance(node, MappingNode) and len(node.value) == 1 and node.value[0][0].value == "facets":
        return node.value[0][1]
    return node


def _wrapped(node: Any, text: str) -> list[Edit]:
    """Put the entries below a key facets."""
    start, end = node.start_mark.index, _end(node)
    if node.flow_style:
        if isinstance(node, SequenceNode):
            return [(start, start, "{facets: "), (end, end, "}")]
        return [(start, start + 1, "{facets: ["), (end - 1, end, "]}")]
    column = node.start_mark.column
    row = _line_start(text, start)
    edits: list[Edit] = [(row, row, " " * (column or 2) + "facets:" + _newline(text))]
    if column == 0:
        # A list may begin below its key's own column; a list below facets may not, for facets is below bias_config.
        rows = [row, *(row + match.end() for match in re.finditer(r"\n(?!\r?\n|$)", text[row:end]))]
        edits[0] = (row, row, edits[0][2] + "  ")
        edits += [(each, each, "  ") for each in rows[1:]]
    return edits


def _rewritten(text: str, start: int, end: int, facet: Mapping[str, Any], dash: str) -> Edit:
    kept = re.findall(r"(?:^|\s)(#.*?)\r?$", text[start:end], re.MULTILINE)
    return start, end, dash + _flow(facet) + "".join(f"  {comment}" for comment in kept)


def _is_facet(node: Node) -> bool:
    return isinstance(node, MappingNode) and any(
        key.value == "name" and isinstance(value, ScalarNode) for key, value in node.value
    )


def _end(node: Any) -> int:
    """Return where a node's text ends; the end mark of a block is where the next thing begins."""
    if isinstance(node, ScalarNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(node, MappingNode) else last)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return value if re.fullmatch(r"[0-9]+(\.[0-9]+)*-[0-9a-z-]+", value) else json.dumps(value, ensure_ascii=False)
    return str(value)


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
