"""Facts about discovery: the folder is the list, and what is wrong in it is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from generators.kit import registry
from generators.kit.errors import BadCard, DuplicateName, GeneratorError, MissingCard, UnpublishedContract

CARD = """
from troposphere.s3 import Bucket
from troposphere.sqs import Queue
from generators.kit import parameters
from generators.kit.stack import Launch, Stack, Trial
from generators.kit.contracts import Contract
FACT = Contract("Fact", "/mlops/infra/fact", "A fact.")
STACK = Stack("{name}", "T", "s", "data-science", ("General",), Trial({{}}), needs={needs}, launch=Launch("x"))
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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "1 One/x"}, r"which is not kebab case"),
        ({"needs": "('0-nothing',)"}, r"names the template '0-nothing', which no generator makes"),
        ({"body": "b.ask(parameters.COST_CENTER)"}, r"trial without a value for CostCenter"),
        ({"body": "b.add(Queue('Q', Colour='red'))"}, r"trial_generators/one.py.*Colour"),
        ({"body": "b.add(Bucket('B', Tags=1))"}, r"trial_generators/one.py.*TypeError"),
        ({"body": "b.add(Queue('Q'), when='CreatesNothing')"}, r"'CreatesNothing', which nothing defines"),
    ],
)
def test_a_mistake_of_a_generator_is_said_with_its_mend(folder: Path, change: dict[str, str], said: str) -> None:
    write(folder, "one.py", **{"name": "1-one", **change})
    with pytest.raises(GeneratorError, match=said):
        registry.render_all(registry.discover(folder))


def test_a_card_says_who_launches_it(folder: Path) -> None:
    write(folder, "one.py", "1-one")
    (folder / "one.py").write_text((folder / "one.py").read_text().replace(', launch=Launch("x")', ""))
    with pytest.raises(BadCard, match="none or several"):
        registry.render_all(registry.discover(folder))
