"""Facts about discovery: the folder is the list, and what is wrong in it is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from generators.kit import registry
from generators.kit.errors import DuplicateName, MissingCard, UnpublishedContract

CARD = """
from generators.kit.stack import Stack, Trial
from generators.kit.contracts import Contract
FACT = Contract("Fact", "/mlops/infra/fact", "A fact.")
STACK = Stack("{name}", "T", "s", "data-science", ("General",), Trial({{}}), needs={needs})
def build(b):
    {body}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    made = tmp_path / "trial_generators"
    made.mkdir()
    (made / "__init__.py").write_text('"""Trial."""\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    yield made
    for name in [name for name in sys.modules if name.startswith("trial_generators")]:
        del sys.modules[name]


def write(folder: Path, file: str, name: str, body: str = "pass", needs: str = "()") -> None:
    (folder / file).write_text(CARD.format(name=name, body=body, needs=needs))


def test_a_new_file_is_a_new_template(folder: Path) -> None:
    write(folder, "two.py", "2-two")
    write(folder, "one.py", "1-one")
    (folder / "notes.txt").write_text("no module")
    assert [generator.stack.name for generator in registry.discover(folder)] == ["1-one", "2-two"]


def test_a_name_used_twice_is_refused(folder: Path) -> None:
    write(folder, "one.py", "1-one")
    write(folder, "other.py", "1-one")
    with pytest.raises(DuplicateName, match="'1-one' is there twice"):
        registry.discover(folder)


def test_a_module_without_a_card_is_refused(folder: Path) -> None:
    (folder / "bare.py").write_text("x = 1\n")
    with pytest.raises(MissingCard, match=r"bare\.py has no STACK"):
        registry.discover(folder)


def test_consuming_what_nobody_publishes_is_refused(folder: Path) -> None:
    write(folder, "one.py", "1-one", "b.publish(FACT, 'x')")
    write(folder, "two.py", "2-two", "b.consume(FACT)")
    with pytest.raises(UnpublishedContract, match=r"2-two consumes 'Fact'.*publish"):
        registry.render_all(registry.discover(folder))


def test_consuming_what_a_needed_template_publishes_resolves_at_launch(folder: Path) -> None:
    write(folder, "one.py", "1-one", "b.publish(FACT, 'x')")
    write(folder, "two.py", "2-two", "b.output('Seen', 'Seen.', b.consume(FACT))", "('1-one',)")
    rendered = registry.render_all(registry.discover(folder))
    assert rendered[1].body["Outputs"]["Seen"]["Value"] == "{{resolve:ssm:/mlops/infra/fact}}"
