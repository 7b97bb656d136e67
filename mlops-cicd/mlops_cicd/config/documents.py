"""The two forms in which the configuration is published: a JSON Schema for editors, and a page for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from mlops_cicd import images
from mlops_cicd.config.model import METRICS, VERSION, ModelConfig
from mlops_cicd.config.translation import models_of

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ID = "model_config.schema.json"
# Two forms of one section must not have one heading.
_MANY = ", one for each problem type"
_INTRODUCTION = f"""# model_config.yaml

The contract between a data scientist and the pipelines: what is built, on which machines, and what a model must reach. It lies
at the top of a project's repository. Every file that it names must be in that repository.

The first job of the build pipeline reads it before anything runs, and so does `inv local`. What is wrong is said all at once,
each with its line, its key and the mend:

```
model_config.yaml:9: train_config.instance_typ: there is no such key. Did you mean instance_type?
```

An editor that knows JSON Schema helps while you write, when the file begins with the place of `{ID}`:
`# yaml-language-server: $schema=<place>/{ID}`.

A file is plain YAML: anchors, aliases, tags and a second document are refused, and so is a key that is there twice. The file
is version {VERSION}; a file without `version` is version 0, from before files had one. It is still read, and
`inv local --migrate` rewrites it with its comments kept.

`stages` and `monitor_config` are checked; they are for the pipeline that deploys a model, which this version lacks.
"""


def schema() -> Schema:
    """Return the JSON Schema of the newest version, as editors and other tools take it."""
    found = ModelConfig.model_json_schema()
    definitions: Schema = found["$defs"]
    _name_keys(ModelConfig, found, definitions)
    for name in ("PreprocessConfig", "TrainConfig"):
        properties = definitions[name]["properties"]
        properties["framework_version"] = _version(properties)
    definitions["Gate"]["properties"]["metric"]["enum"] = _metrics()
    return {
        "$schema": DIALECT,
        "$id": ID,
        **found,
        "title": "model_config.yaml",
        "description": "The contract between a project and its pipelines.",
    }


def page() -> str:
    """Return the reference page of all keys, in Markdown."""
    document = schema()
    rows = [_INTRODUCTION, *_section("", document, document), *_metric_table(), *_image_table()]
    return "\n".join(rows).rstrip() + "\n"


def _name_keys(model: type[BaseModel], node: Schema, definitions: Schema) -> None:
    """Give each key its name and sentence, which pydantic leaves to the section where there is one."""
    for key, field in model.model_fields.items():
        node["properties"][key] |= {"title": key, "description": field.description}
        for inner in models_of(field.annotation):
            _name_keys(inner, definitions[inner.__name__], definitions)


def _version(properties: Mapping[str, Any]) -> Schema:
    """Return the schema of a framework's version: what an editor reads as a number is one there."""
    known = [version for framework in properties["framework"]["enum"] for version in images.supported(framework)]
    numbers = [float(version) for version in known if version.replace(".", "", 1).isdigit()]
    old = properties["framework_version"]
    return {"title": old["title"], "description": old["description"], "enum": [*known, *numbers]}


def _metrics() -> list[str]:
    return list(dict.fromkeys(metric for metrics in METRICS.values() for metric in metrics))


def _section(path: str, node: Schema, document: Schema) -> Iterator[str]:
    """Yield a section's table and then those of the sections within it."""
    yield f"## {path}{_MANY if 'regression' in node.get('properties', {}) else ''}" if path else "## Sections"
    if path:
        yield f"\n{node.get('description', '').strip()}"
    yield "\n| Key | Value | When left out | What it is |\n| --- | --- | --- | --- |"
    inner: list[tuple[str, Schema]] = []
    for key, about in node.get("properties", {}).items():
        below = _below(about, document)
        place = f"{path}.{key}" if path else key
        inner += [(f"{place}{'[]' if is_list else ''}", section) for section, is_list in below]
        yield f"| `{key}` | {_value(about, document)} | {_absent(key, node)} | {_cell(about['description'])} |"
    yield ""
    for place, section in inner:
        # One gate and the gates of the problem types have the same place; the gate itself is shown once.
        if place.startswith("quality_gate.") and section is document["$defs"]["Gate"]:
            continue
        yield from _section(place, section, document)


def _below(about: Schema, document: Schema) -> list[tuple[Schema, bool]]:
    """Return the sections that a value may be, and whether it is a list of them."""
    if "$ref" in about:
        return [(document["$defs"][about["$ref"].rsplit("/", 1)[-1]], False)]
    found = [
        each
        for branch in ("anyOf", "oneOf", "allOf")
        for option in about.get(branch, ())
        for each in _below(option, document)
    ]
    if about.get("type") == "array":
        found += [(section, True) for section, _ in _below(about["items"], document)]
    return found


def _value(about: Schema, document: Schema) -> str:
    if "$ref" in about:
        return "section"
    options = [*about.get("anyOf", ()), *about.get("oneOf", ())]
    if options:
        words = [_value(option, document) for option in options if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(words))
    if "const" in about:
        return f"`{about['const']}`"
    if "enum" in about:
        return ", ".join(f"`{each}`" for each in about["enum"] if isinstance(each, str))
    if about.get("type") == "array":
        return f"list of {_value(about['items'], document)}"
    word = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "object": "map",
    }
    return word.get(about.get("type", ""), "value") + _bounds(about)


def _bounds(about: Schema) -> str:
    lowest, highest = about.get("minimum"), about.get("maximum")
    if "exclusiveMinimum" in about:
        return f" above {about['exclusiveMinimum']}, up to {highest}"
    return f" from {lowest} to {highest}" if lowest is not None and highest is not None else ""


def _absent(key: str, node: Schema) -> str:
    if key in node.get("required", ()):
        return "must be there"
    default = node["properties"][key].get("default")
    return "nothing" if default in (None, [], {}) else f"`{default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _metric_table() -> Iterator[str]:
    yield "## Metrics\n\nThose of SageMaker's model quality report, on the test set.\n\n| Problem type | Metrics |\n| --- | --- |"
    for problem_type, metrics in METRICS.items():
        yield f"| `{problem_type}` | {', '.join(f'`{each}`' for each in metrics)} |"
    yield ""


def _image_table() -> Iterator[str]:
    yield "## Versions of the frameworks\n\nAWS's own images, without a build.\n"
    yield "| Framework | Version | Python | Holds |\n| --- | --- | --- | --- |"
    for framework in images.FRAMEWORKS:
        for version in images.supported(framework):
            held = images.packages(framework, version)
            names = [
                f"{name} {held[name]}"
                for name in ("scikit-learn", "xgboost", "pyspark", "pandas", "numpy")
                if name in held
            ]
            yield f"| `{framework}` | `{version}` | {images.python(framework, version)} | {', '.join(names)} |"
