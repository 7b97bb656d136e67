"""Older forms of the file, and how each becomes the next: the values for reading, the text for rewriting.

Version 0 had no key version. Its quality_gate and data_config are those of version 1; its bias_config was a list of columns, a
map of a column to its bounds, or either of them below facets; train_config and inference_config came with version 1.

A text is edited at the marks of what changes, so that the rest of it stays as it was, byte for byte. What comes out is read
again and held against the migrated values: a layout that the edits don't fit is refused and not spoilt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlops_cicd.config.edits import bias_edits, put_first, put_last, replaced
from mlops_cicd.config.model import VERSION
from mlops_cicd.config.problems import ConfigError, Problem, line_of
from mlops_cicd.config.reading import Document, read
from mlops_cicd.errors import shown

Values = dict[str, Any]
# In version 0 the entrypoint took its own sample when nothing lay there.
SAMPLE_BEFORE = "data/"
_BY_HAND = "Write the section by hand as the page of model_config.yaml shows it, with `version: 1` at the top."


def version_of(document: Document) -> int:
    """Return the version of a file's form: 0 without one. Raises ConfigError for one that is not known."""
    version: Any = document.data.get("version", 0)
    if type(version) is int and 0 <= version <= VERSION:
        return version
    if type(version) is int and version > VERSION:
        what = f"this is version {shown(version)}, and version {VERSION} is the newest known here"
        mend = "Have the ML engineer take the platform's update into mlops-cicd, or write the file in version 1."
    else:
        what = f"{shown(version)} is no version"
        mend = f"Write version: {VERSION}."
    raise ConfigError([Problem(line_of(("version",), document.lines), ("version",), what, mend)])


def migrate_data(data: Mapping[str, Any], version: int) -> Values:
    """Return the values in the newest version's form; a value that no older version knew stays as it is."""
    values = dict(data)
    for older in range(version, VERSION):
        values = _STEPS[older](values)
    return values


def migrate(text: str) -> tuple[str, list[str]]:
    """Rewrite a file's text to the newest version, keeping its comments; say what changed, nothing when it was the newest.

    Raises ConfigError when the text can't be read, or is laid out so that it can't be rewritten.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    changes: list[str] = []
    while True:
        document = read(text)
        if document.problems:
            raise ConfigError(document.problems)
        version = version_of(document)
        if version == VERSION:
            return mark + text, changes
        text, said = _TEXT_STEPS[version](text, document)
        changes += said
        _hold(text, document, _STEPS[version](document.data))


def facets_of(given: Any) -> list[Values] | None:
    """Return the facets of version 1 that a bias_config of version 0 means, or None when it is none of its forms."""
    inner = given["facets"] if isinstance(given, Mapping) and set(given) == {"facets"} else given
    if isinstance(inner, Mapping):
        inner = [{name: bounds} for name, bounds in inner.items()]
    if not isinstance(inner, list):
        return None
    found = [facet_of(each) for each in inner]
    return None if None in found else [each for each in found if each is not None]


def facet_of(given: Any) -> Values | None:
    """Return the facet that one entry means: a name, a name with its bounds, or a facet as version 1 has it."""
    if _is_scalar(given):
        return {"name": _named(given)}
    if not isinstance(given, Mapping):
        return None
    if isinstance(given.get("name"), str):
        return dict(given)
    if len(given) != 1:
        return None
    ((name, bounds),) = given.items()
    if not isinstance(bounds, list) or not all(_is_scalar(each) for each in bounds):
        return None
    return {"name": name, "values_or_threshold": bounds[:1] if is_span(bounds) else bounds}


def is_span(bounds: Any) -> bool:
    """Say whether bounds are a lower and an upper one, of which version 1 keeps the lower."""
    return isinstance(bounds, list) and len(bounds) == 2 and all(type(each) in (int, float) for each in bounds)


def _is_scalar(given: Any) -> bool:
    return isinstance(given, str | int | float) and not isinstance(given, bool)


def _named(given: str | int | float) -> str:
    return given if isinstance(given, str) else str(given)


def _to_1(values: Values) -> Values:
    after = {"version": 1} | {key: value for key, value in values.items() if key != "version"}
    facets = facets_of(after.get("bias_config"))
    if facets is not None:
        after["bias_config"] = {"facets": facets}
    for section, seed in _new_sections(values).items():
        after.setdefault(section, seed)
    return after


def _new_sections(values: Mapping[str, Any]) -> dict[str, Values]:
    """Return the sections that came with version 1, as the seed has them, with the framework of the file."""
    preprocess = values.get("preprocess_config")
    given = preprocess if isinstance(preprocess, Mapping) else {}
    own = given.get("framework") in ("sklearn", "xgboost") and isinstance(given.get("framework_version"), str)
    return {
        "train_config": {
            "framework": given["framework"] if own else "sklearn",
            "framework_version": given["framework_version"] if own else "1.4-2-py312",
            "instance_type": "ml.m5.large",
            "instance_count": 1,
            "volume_size_gb": 10,
            "entrypoint": "train/train.py",
        },
        "inference_config": {
            "entrypoint": "inference/inference.py",
            "supported_input_types": ["text/csv", "application/json"],
            "supported_output_types": ["text/csv", "application/json"],
            "inference_instances": ["ml.m5.large"],
            "transform_instances": ["ml.m5.large"],
        },
    }


def _text_to_1(text: str, document: Document) -> tuple[str, list[str]]:
    edits, changes = [], []
    given = document.data.get("bias_config")
    facets = facets_of(given)
    if facets is not None and given != {"facets": facets}:
        edits += bias_edits(document, facets, text)
        changes.append(f"bias_config: became facets, each with name and values_or_threshold ({len(facets)}).")
        changes += _lost(given)
    if "version" in document.data:
        edits.append(replaced(document, "version", "1"))
    else:
        edits.append(put_first(document, text, "version: 1"))
    changes.insert(0, "version: 1 was added at the top.")
    added = {section: seed for section, seed in _new_sections(document.data).items() if section not in document.data}
    if added:
        edits.append(put_last(text, added))
        changes += [f"{section}: was added as the seed has it; look it through." for section in added]
    if _data_of(document.data) == SAMPLE_BEFORE:
        changes.append(
            f"data_config.inputs.data: {SAMPLE_BEFORE} stays, and files must lie there now. Write sample for the entrypoint's own."
        )
    for start, end, inserted in sorted(edits, reverse=True):
        text = text[:start] + inserted + text[end:]
    return text, changes


def _lost(given: Any) -> list[str]:
    inner = given.get("facets", given) if isinstance(given, Mapping) else given
    pairs: list[Any] = list(inner.items()) if isinstance(inner, Mapping) else []
    for each in inner if isinstance(inner, list) else ():
        pairs += each.items() if isinstance(each, Mapping) and len(each) == 1 else ()
    return [
        f"bias_config.facets: {shown(name)} keeps its lower bound {bounds[0]}; the upper one, {bounds[1]}, has no place in"
        " version 1. Check that the group is the one you mean."
        for name, bounds in pairs
        if is_span(bounds)
    ]


def _data_of(values: Mapping[str, Any]) -> Any:
    section = values.get("data_config")
    inputs = section.get("inputs") if isinstance(section, Mapping) else None
    return inputs.get("data") if isinstance(inputs, Mapping) else None


def _hold(text: str, before: Document, expected: Values) -> None:
    """Raise ConfigError unless a text says what was expected of it."""
    try:
        found: Mapping[str, Any] = read(text).data
    except ConfigError:
        found = {}
    if found == expected:
        return
    key = next((each for each in expected if found.get(each) != expected[each] and each in before.data), "version")
    what = "this can't be rewritten to the newest version as it is laid out"
    raise ConfigError([Problem(line_of((key,), before.lines), (key,), what, _BY_HAND)])


_STEPS: Mapping[int, Callable[[Values], Values]] = {0: _to_1}
_TEXT_STEPS: Mapping[int, Callable[[str, Document], tuple[str, list[str]]]] = {0: _text_to_1}
