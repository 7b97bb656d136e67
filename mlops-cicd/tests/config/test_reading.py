"""What is no configuration at all: each refused in a row, with the line and the mend, and quickly."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlops_cicd.config import ConfigError, load, parse

Rows = Callable[[str], list[str]]
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [" + ", ".join([f"*{chr(97 + i)}"] * 9) + "]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("text", "line", "what", "mend"),
    [
        ("", 1, "the file is empty", "Begin with"),
        ("\n# only a comment\n", 1, "the file is empty", "Begin with"),
        ("null", 1, "one value", "Begin with"),
        ("- version: 1\n", 1, "a list", "without a dash"),
        ("# x\n\n[1, 2]\n", 3, "a list", "without a dash"),
        ("just words", 1, "one value", "Begin with"),
        ("a: 1\nb: [1, 2\n", 3, "no YAML", "Mend the YAML"),
        ("a: 1\n b: 2\n", 2, "no YAML", "Mend the YAML"),
        ("a:\n\tb: 1\n", 2, "a tab", "two spaces"),
        ("a: 1\n\tb: 1\n", 2, "a tab", "two spaces"),
        ("a: 1\nb: &x 2\n", 2, "an anchor", "Take it out"),
        ("a: 1\nb: *x\n", 2, "an alias", "Write the value out"),
        ("a: 1\nb: &x\n  <<: *x\n", 2, "an anchor", "Take it out"),
        (BOMB, 1, "an anchor", "Take it out"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "a tag", "Take it out"),
        ("a: !mine 1\n", 1, "a tag", "Take it out"),
        ("%YAML 1.1\n---\na: yes\n", 2, "a directive", "Take the line"),
        ("a: 1\n---\nb: 2\n", 2, "a second document", "one document"),
        ("[" * 100_000, 1, "levels", "take levels out"),
        ("- " * 50_000, 1, "levels", "take levels out"),
        ("{a: " * 20_000, 1, "levels", "take levels out"),
        ("a: " + "[" * 20 + "]" * 20, 1, "levels", "take levels out"),
        ("a: \x00\n", 1, "no YAML", "Mend"),
        ("a: '" + "x" * 300_000 + "'", 1, "characters", "Keep it below"),
    ],
)
def test_what_can_not_be_read_is_said_in_one_row(refusal: Rows, text: str, line: int, what: str, mend: str) -> None:
    began = time.monotonic()
    rows = refusal(text)
    assert time.monotonic() - began < 5
    assert len(rows) == 1
    assert rows[0].startswith(f"model_config.yaml:{line}: ")
    assert what in rows[0]
    assert mend in rows[0]
    assert len(rows[0]) < 400


def test_a_key_that_is_there_twice_is_named_with_both_lines(changed: Callable[..., str], refusal: Rows) -> None:
    rows = refusal(changed("  target: target\n", "  target: target\n  target: other\n"))
    assert rows == [
        "model_config.yaml:31: data_config.target: the key is here a second time, after line 30. Keep one of them."
    ]


def test_a_list_as_a_key_is_refused(seed: str, refusal: Rows) -> None:
    assert any("a list or a map is used as a key" in row for row in refusal(seed + "? [a, b]\n: 1\n"))


@pytest.mark.parametrize("extra", ["<<: {target: x}", "<<: [{target: x}]"])
def test_merging_is_no_way_around_the_keys(changed: Callable[..., str], refusal: Rows, extra: str) -> None:
    rows = refusal(changed("  target: target\n", f"  target: target\n  {extra}\n"))
    assert rows == ["model_config.yaml:31: data_config.<<: there is no such key. Known here: target, datatype, inputs."]


def test_a_file_is_read_with_a_mark_and_windows_lines(tmp_path: Path, seed: str) -> None:
    path = tmp_path / "model_config.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + seed.replace("\n", "\r\n").encode())
    assert load(path) == parse(seed)


@pytest.mark.parametrize(
    ("content", "what"),
    [(None, "there is no such file"), (b"\xff\xfe\x00", "no text in UTF-8"), ("folder", "can't be read")],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes | str | None, what: str) -> None:
    path = tmp_path / "model_config.yaml"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=what) as caught:
        load(path)
    assert str(tmp_path) not in str(caught.value)


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "model_config.yaml"
    with path.open("wb") as file:
        file.truncate(5 * 1024**3)  # sparse: it takes no disk, and reading it would take five gigabytes
    with pytest.raises(ConfigError):
        load(path)


def test_an_error_passes_between_processes(refusal: Rows) -> None:
    with pytest.raises(ConfigError) as caught:
        parse("- a")
    # A copy goes the way of pickle, which a process pool takes.
    again = copy.copy(caught.value)
    assert (str(again), again.problems) == (str(caught.value), caught.value.problems)


def test_versions_that_look_like_numbers_stay_as_they_are_written(changed: Callable[..., str]) -> None:
    text = changed("framework: sklearn\n  framework_version: 1.4-2-py312\n  instance_type: ml.t3.medium",
                   "framework: pyspark\n  framework_version: 3.5\n  instance_type: ml.t3.medium")  # fmt: skip
    assert parse(text).preprocess_config.framework_version == "3.5"
