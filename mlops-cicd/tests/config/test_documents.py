"""The JSON Schema and the page: every key of the model is in both, with a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from mlops_cicd.config import METRICS, ConfigError, ModelConfig, page, parse, schema
from mlops_cicd.config.translation import models_of
from ruamel.yaml import YAML


def models(model: type[Any] = ModelConfig) -> Iterator[type[Any]]:
    """Give each section of the model."""
    yield model
    for field in model.model_fields.values():
        for inner in models_of(field.annotation):
            yield from models(inner)


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Give each object of a schema."""
    if isinstance(node, dict):
        yield node
        for each in node.values():
            yield from objects(each)
    elif isinstance(node, list):
        for each in node:
            yield from objects(each)


def test_the_schema_is_of_the_newest_dialect_and_plain_json() -> None:
    found = schema()
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["$id"] == "model_config.schema.json"
    assert json.loads(json.dumps(found)) == found == schema()


@pytest.mark.parametrize("model", list(dict.fromkeys(models())), ids=lambda model: model.__name__)
def test_every_key_is_in_the_schema_and_on_the_page_with_a_sentence(model: type[Any]) -> None:
    found = schema()
    node = found if model is ModelConfig else found["$defs"][model.__name__]
    assert set(node["properties"]) == set(model.model_fields)
    assert node["additionalProperties"] is False
    assert node["description"]
    text = page()
    for key, field in model.model_fields.items():
        assert field.description and field.description.endswith(".")
        about = node["properties"][key]
        assert (about["title"], about["description"]) == (key, field.description)
        assert any(row.startswith(f"| `{key}` |") and not row.endswith("|  |") for row in text.splitlines())


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    found = schema()
    references = {each["$ref"] for each in objects(found) if "$ref" in each}
    assert references
    assert {reference.removeprefix("#/$defs/") for reference in references} == set(found["$defs"])


def test_the_schema_offers_what_is_known() -> None:
    definitions = schema()["$defs"]
    assert 3.5 in definitions["PreprocessConfig"]["properties"]["framework_version"]["enum"]
    assert "3.5" in definitions["PreprocessConfig"]["properties"]["framework_version"]["enum"]
    assert 3.5 not in definitions["TrainConfig"]["properties"]["framework_version"]["enum"]
    known = {metric for metrics in METRICS.values() for metric in metrics}
    assert set(definitions["Gate"]["properties"]["metric"]["enum"]) == known


def test_what_the_schema_requires_the_model_requires(seed: str) -> None:
    for key in schema()["required"]:
        data = YAML(typ="safe").load(seed)
        del data[key]
        with pytest.raises(ValueError, match=key):
            ModelConfig.model_validate(data)


def test_the_page_has_each_heading_once_and_tables_that_hold() -> None:
    rows = page().splitlines()
    headings = [row for row in rows if row.startswith("#")]
    assert len(headings) == len(set(headings))
    width = None
    for row in rows:
        if not row.startswith("|"):
            width = None
            continue
        cells = row.replace("\\|", "").count("|")
        assert width in (None, cells), row
        width = cells


def test_the_message_on_the_page_is_one_that_is_given(seed: str) -> None:
    text = seed.replace("train_config:\n", "train_config:\n  instance_typ: x\n")
    with pytest.raises(ConfigError) as caught:
        parse(text)
    said = str(caught.value).partition(": ")[2]
    assert said in page()
