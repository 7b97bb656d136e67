"""Facts about rendering: the text means the dict, in reading order, the same every time."""

from __future__ import annotations

from typing import Any

import yaml

from generators.kit import registry, render


class _Long(yaml.SafeLoader):
    """Reads the short forms back into the long ones."""


def _long(loader: _Long, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    return {f"Fn::{suffix}": value.split(".", 1) if suffix == "GetAtt" else value}


_Long.add_multi_constructor("!", _long)


def read(text: str) -> Any:
    return yaml.load(text, Loader=_Long)


def test_every_template_reads_back_as_the_dict_it_was_rendered_from() -> None:
    for item in registry.rendered():
        assert read(item.text) == item.body


def test_rendering_twice_gives_the_same_bytes() -> None:
    first = [item.text for item in registry.render_all(registry.discover())]
    assert first == [item.text for item in registry.render_all(registry.discover())]


def test_sections_and_resources_stand_in_reading_order() -> None:
    body = {
        "Resources": {"A": {"Properties": {"x": 1}, "Condition": "C", "Type": "AWS::S3::Bucket"}},
        "Parameters": {"P": {"Default": "1", "Description": "d", "Type": "String"}},
        "Description": "d",
    }
    text = render.to_yaml(body, "generators/x.py")
    assert text.splitlines()[0] == "# Rendered from generators/x.py by `inv build`. Change it there."
    assert text.index("Description: d") < text.index("Parameters:") < text.index("Resources:")
    assert text.index("Type: AWS::S3::Bucket") < text.index("Condition: C") < text.index("Properties:")


def test_hard_texts_survive() -> None:
    for value in [
        "yes",
        "2012-10-17",
        "a: b",
        "# no comment",
        "",
        "*",
        "two\nlines\n",
        "ü",
        "!Ref x",
        "012345678901",
        "1e3",
        "null",
    ]:
        for body in ({"a": value}, {"a": {"Fn::Sub": value}}, {"a": [value, {"Ref": "X"}]}):
            assert read(render.to_yaml(body, "s")) == body


def test_a_condition_block_of_a_policy_is_no_function() -> None:
    body = {"Statement": [{"Condition": {"StringEquals": {"a": {"Ref": "X"}}}}], "If": {"Condition": "HasX"}}
    text = render.to_yaml(body, "s")
    assert read(text) == body
    assert "!Condition HasX" in text
