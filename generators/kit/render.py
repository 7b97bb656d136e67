"""Turn a template into the bytes that are committed and published: reading order, short tags, no clock.

troposphere's own to_yaml sorts keys and uses PyYAML's pure Python dumper; this is the C dumper over the same dict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

TEMPLATE_ORDER = ("AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings", "Conditions",
                  "Resources", "Outputs")  # fmt: skip
RESOURCE_ORDER = ("Type", "Metadata", "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Properties")
PARAMETER_ORDER = ("Type", "Description", "Default", "AllowedValues", "AllowedPattern", "ConstraintDescription")
# Functions with a short form. Fn::GetAtt takes its two parts joined by a dot.
SHORT = {"Ref": "!Ref", "Condition": "!Condition"} | {
    f"Fn::{name}": f"!{name}"
    for name in ("And", "Base64", "Cidr", "Contains", "Equals", "FindInMap", "GetAtt", "GetAZs", "If", "ImportValue", "Join",
                 "Not", "Or", "Select", "Split", "Sub")
}  # fmt: skip


ONE_LINE = 100  # characters


class _Tagged:
    def __init__(self, tag: str, value: Any) -> None:
        self.tag, self.value = tag, value


class _Block(dict[str, Any]):
    """A mapping that always stands as a block."""


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_tagged(dumper: _Dumper, data: _Tagged) -> yaml.Node:
    node = dumper.represent_data(data.value)
    node.tag = data.tag
    if isinstance(node, yaml.ScalarNode) and node.style is None:
        node.style = "'" if data.value == "" or ": " in str(data.value) or "#" in str(data.value) else ""
    return _compact(node)


def _represent_text(dumper: _Dumper, data: str) -> yaml.Node:
    # An account id with a leading zero is a number to some readers of YAML, and text to others.
    style = "|" if "\n" in data else "'" if data.isdigit() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


def _represent_list(dumper: _Dumper, data: list[Any]) -> yaml.Node:
    return _compact(dumper.represent_sequence("tag:yaml.org,2002:seq", data))


def _represent_dict(dumper: _Dumper, data: dict[str, Any]) -> yaml.Node:
    node = dumper.represent_mapping("tag:yaml.org,2002:map", data)
    # Two short facts read well on one line; more are a block.
    return _compact(node) if len(data) <= 2 else node


def _represent_block(dumper: _Dumper, data: _Block) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", data)


def _compact(node: yaml.Node) -> yaml.Node:
    """Put what is short on one line, as a person would write it."""
    if 0 < _width(node) < ONE_LINE:
        _flow(node)
    return node


def _width(node: yaml.Node) -> int:
    """Give about how many characters a node takes on one line; 0 when it can't stand on one."""
    if isinstance(node, yaml.ScalarNode):
        tag = len(node.tag) + 1 if node.tag.startswith("!") else 0
        return 0 if "\n" in node.value else len(node.value) + tag + 3
    if isinstance(node, yaml.MappingNode) and len(node.value) > 2:
        return 0
    parts = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
    widths = [_width(part) for part in parts]
    return sum(widths) + 2 if widths and all(widths) else 0


def _flow(node: yaml.Node) -> None:
    if isinstance(node, yaml.CollectionNode):
        node.flow_style = True
        for item in node.value:
            for part in item if isinstance(item, tuple) else (item,):
                _flow(part)


_Dumper.add_representer(_Tagged, _represent_tagged)
_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(dict, _represent_dict)
_Dumper.add_representer(_Block, _represent_block)
_Dumper.add_representer(str, _represent_text)


def to_yaml(template: Mapping[str, Any], source: str) -> str:
    """Render a template dict. `source` is the generator, named in line 1."""
    ordered = _ordered(template, TEMPLATE_ORDER)
    for section, order in (("Parameters", PARAMETER_ORDER), ("Resources", RESOURCE_ORDER)):
        if section in ordered:
            ordered[section] = {name: _ordered(body, order) for name, body in ordered[section].items()}
    # One dump a section, so that a blank line stands between sections and between resources.
    parts = [f"# Rendered from {source} by `inv build`. Change it there.\n"]
    for name, body in ordered.items():
        if name in ("Resources", "Parameters"):
            parts.append(f"{name}:\n" + "\n".join(_indented({key: value}) for key, value in body.items()))
        else:
            parts.append(_dump({name: body}))
    return "\n".join(parts)


def _ordered(mapping: Mapping[str, Any], first: Iterable[str]) -> dict[str, Any]:
    known = [key for key in first if key in mapping]
    return {key: mapping[key] for key in [*known, *(key for key in mapping if key not in known)]}


def _indented(body: Mapping[str, Any]) -> str:
    return "".join(f"  {line}" if line.strip() else line for line in _dump(body).splitlines(keepends=True))


def _dump(body: Mapping[str, Any]) -> str:
    return yaml.dump(_blocks(_short(body)), Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)


def _blocks(body: dict[str, Any]) -> _Block:
    """Keep the upper levels (section, resource, its properties) from standing on one line, however short they are."""
    upper = _Block()
    for name, value in body.items():
        inner = (
            {key: _Block(part) if type(part) is dict else part for key, part in value.items()}
            if type(value) is dict
            else value
        )
        upper[name] = _Block(inner) if type(inner) is dict else inner
    return upper


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key in SHORT and not (key == "Condition" and not isinstance(inner, str)):
                return _Tagged(SHORT[key], ".".join(inner) if key == "Fn::GetAtt" else _short(inner))
        return {key: _short(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_short(inner) for inner in value]
    return value
