"""Version 0 becomes version 1: each of its forms, with what else is in the file left byte for byte."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import pytest
from mlops_cicd.config import ConfigError, migrate, parse

OLD = "bias_config:\n  facets: []\n"
# Bias of version 0, the same in version 1, and the facets that it means.
FORMS = [
    ("bias_config: [age, sex]  # groups\n", "bias_config: {facets: [{name: age}, {name: sex}]}  # groups\n",
     [("age", ()), ("sex", ())]),
    ("bias_config: []\n", "bias_config: {facets: []}\n", []),
    ("bias_config: ['a, b', 5, \"true\"]\n", 'bias_config: {facets: [{name: "a, b"}, {name: "5"}, {name: "true"}]}\n',
     [("a, b", ()), ("5", ()), ("true", ())]),
    ("bias_config:\n  - age   # in years\n  # and\n  - sex\n",
     "bias_config:\n  facets:\n  - {name: age}   # in years\n  # and\n  - {name: sex}\n", [("age", ()), ("sex", ())]),
    ("bias_config:\n- age   # in years\n\n# and\n- sex\n",
     "bias_config:\n  facets:\n  - {name: age}   # in years\n\n  # and\n  - {name: sex}\n", [("age", ()), ("sex", ())]),
    ("bias_config: [\n  age,  # one\n  sex\n  ]\n", "bias_config: {facets: [\n  {name: age},  # one\n  {name: sex}\n  ]}\n",
     [("age", ()), ("sex", ())]),
    ("bias_config:\n  age: [25, 60]  # years\n  # and\n  sex: [m, f]\n",
     "bias_config:\n  facets:\n  - {name: age, values_or_threshold: [25]}  # years\n  # and\n"
     "  - {name: sex, values_or_threshold: [m, f]}\n", [("age", (25,)), ("sex", ("m", "f"))]),
    ("bias_config:\n  age:\n    - 25  # low\n    - 60  # high\n",
     "bias_config:\n  facets:\n  - {name: age, values_or_threshold: [25]}  # low  # high\n", [("age", (25,))]),
    ("bias_config: {age: [2.5, 60], b: [1]}\n",
     "bias_config: {facets: [{name: age, values_or_threshold: [2.5]}, {name: b, values_or_threshold: [1]}]}\n",
     [("age", (2.5,)), ("b", (1,))]),
    ("bias_config:\n  facets:\n    - age  # in years\n    - sex: [m]\n    - {name: b}\n",
     "bias_config:\n  facets:\n    - {name: age}  # in years\n    - {name: sex, values_or_threshold: [m]}\n    - {name: b}\n",
     [("age", ()), ("sex", ("m",)), ("b", ())]),
    ("bias_config:\n  facets: {age: [1, 2]}\n", "bias_config:\n  facets: [{name: age, values_or_threshold: [1]}]\n",
     [("age", (1,))]),
    ("bias_config:\n  facets:\n    age: [1, 2]  # years\n",
     "bias_config:\n  facets:\n    - {name: age, values_or_threshold: [1]}  # years\n", [("age", (1,))]),
    (OLD, OLD, []),
]  # fmt: skip


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize(("old", "new", "facets"), FORMS)
def test_each_form_of_version_0_becomes_version_1(
    before: str, old: str, new: str, facets: list[tuple[str, tuple[object, ...]]], windows: bool
) -> None:
    assert OLD in before
    text, expected = before.replace(OLD, old), before.replace(OLD, new)
    if windows:
        text, expected = text.replace("\n", "\r\n"), expected.replace("\n", "\r\n")
    after, changes = migrate(text)
    kept = [row[2:] for row in difflib.ndiff(expected.splitlines(True), after.splitlines(True)) if row[0] == "-"]
    assert kept == []
    assert len(after.splitlines()) == len(expected.splitlines()) + 17
    assert [(each.name, each.values_or_threshold) for each in parse(after).bias_config.facets] == facets
    assert changes[0].startswith("version: 1")
    # A second run finds nothing to do, and reading the old text means the same as reading the new one.
    assert migrate(after) == (after, [])
    assert parse(text) == parse(after)


def test_the_file_of_release_0_1_0_keeps_its_words(before: str) -> None:
    after, changes = migrate(before)
    added = [row[2:] for row in difflib.ndiff(before.splitlines(), after.splitlines()) if row[0] == "+"]
    assert [row for row in difflib.ndiff(before.splitlines(), after.splitlines()) if row[0] == "-"] == []
    assert added[:2] == ["version: 1", ""] or added[:2] == ["", "version: 1"]
    assert after.index("version: 1") < after.index("# The processing job") < after.index("preprocess_config:")
    assert [change.split(":")[0] for change in changes] == [
        "version", "train_config", "inference_config", "data_config.inputs.data",
    ]  # fmt: skip
    config = parse(after)
    assert config.train_config.framework_version == config.preprocess_config.framework_version == "1.4-2-py312"
    assert config.train_config.entrypoint == "train/train.py"
    assert config.data_config.inputs.data == "data/"


def test_an_upper_bound_that_is_lost_is_said(before: str) -> None:
    changes = migrate(before.replace(OLD, "bias_config: {age: [25, 60]}\n"))[1]
    assert any("'age' keeps its lower bound 25" in change and "60" in change for change in changes)


def test_sections_that_are_there_are_left(before: str, seed: str) -> None:
    old = seed.replace("version: 1\n", "")
    after, changes = migrate(old)
    assert changes == ["version: 1 was added at the top."]
    assert parse(after) == parse(seed)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["\n", ""])
def test_marks_and_missing_ends_are_no_hindrance(before: str, mark: str, ending: str) -> None:
    text = mark + before.rstrip("\n") + ending
    after, _ = migrate(text)
    assert after.startswith(mark + "# The contract")
    assert parse(after.removeprefix("\ufeff")) == parse(migrate(before)[0])


def test_a_zero_that_is_written_becomes_one(before: str) -> None:
    after, _ = migrate("version: 0  # as it was\n" + before)
    assert after.startswith("version: 1  # as it was\n")
    assert after.count("version: 1\n") == 0


def test_a_first_key_without_a_comment_comes_after_the_version(before: str) -> None:
    rows = [row for row in before.splitlines() if not row.startswith("#")]
    after, _ = migrate("\n".join(rows).lstrip("\n"))
    assert after.startswith("version: 1\n\npreprocess_config:")


@pytest.mark.parametrize("bias", ["5", "{age: 5}", "[[age]]", "[{a: [1], b: [2]}]", "{facets: 5}", "[{age: [[1]]}]"])
def test_what_version_0_never_was_is_left_to_its_reader(
    before: str, refusal: Callable[[str], list[str]], bias: str
) -> None:
    text = before.replace(OLD, f"bias_config: {bias}\n")
    assert f"bias_config: {bias}\n" in migrate(text)[0]
    rows = refusal(text)
    line = text.splitlines().index(f"bias_config: {bias}") + 1
    assert all(row.startswith(f"model_config.yaml:{line}: bias_config") for row in rows)


def test_problems_of_an_older_file_have_the_lines_of_that_file(
    before: str, refusal: Callable[[str], list[str]]
) -> None:
    text = before.replace("metric: auc", "metric: gini").replace("retrain: never", "retrain: always")
    rows = refusal(text)
    assert [int(row.split(":")[1]) for row in rows] == [
        number for number, row in enumerate(text.splitlines(), start=1) if "gini" in row or "always" in row
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{preprocess_config: {framework: sklearn}, bias_config: [age]}",
        "preprocess_config: {framework: sklearn}\nbias_config: [age]\n...\n",
        "preprocess_config: {framework: sklearn}\nbias_config: [{age: [1, # one\n 2]}, b]\n",
    ],
)
def test_a_layout_that_does_not_fit_is_refused_and_not_spoilt(text: str) -> None:
    with pytest.raises(ConfigError, match="can't be rewritten") as caught:
        migrate(text)
    assert "by hand" in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a", "a: 1\na: 2\n", "version: 7\n"])
def test_what_can_not_be_read_is_not_migrated(text: str) -> None:
    with pytest.raises(ConfigError):
        migrate(text)
