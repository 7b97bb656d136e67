"""The folder is the list: every module or package in generators/ is a generator, every folder in lambdas/ a function."""

from __future__ import annotations

import importlib
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from generators.kit import render
from generators.kit.builder import Builder
from generators.kit.errors import BadCard, CantBuild, DuplicateName, MissingCard, UnpublishedContract
from generators.kit.publishing import ROOT
from generators.kit.stack import Stack

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Generator:
    """A card, its build function, and where both stand (a path from the root, for line 1 and Metadata)."""

    stack: Stack
    build: Callable[[Builder], None]
    source: str


@dataclass(frozen=True)
class Rendered:
    """A rendered template: the builder that made it, its dict and its bytes."""

    generator: Generator
    builder: Builder
    body: dict[str, Any]
    text: str

    @property
    def stack(self) -> Stack:
        """Give the card."""
        return self.generator.stack

    @property
    def path(self) -> Path:
        """Give the committed file."""
        return ROOT / "templates" / f"{self.stack.name}.yaml"


def discover(folder: Path | None = None) -> list[Generator]:
    """Find every generator in a folder, sorted by template name. Raises on a missing card or a name used twice."""
    folder = folder or ROOT / "generators"
    found: dict[str, Generator] = {}
    for path in sorted(folder.iterdir()):
        is_module = path.suffix == ".py" or (path / "__init__.py").is_file()
        if not is_module or path.name.startswith(("_", ".")) or path.name == "kit":
            continue
        module = importlib.import_module(f"{folder.name}.{path.stem}")
        source = f"{folder.name}/{path.name}" + ("" if path.suffix else "/__init__.py")
        for needed in ("STACK", "build"):
            if not hasattr(module, needed):
                raise MissingCard(source, needed)
        if module.STACK.name in found:
            raise DuplicateName("template", module.STACK.name, source)
        if not NAME.fullmatch(module.STACK.name):
            raise BadCard(source, f"has the name '{module.STACK.name}', which is not kebab case such as 2-smproject")
        found[module.STACK.name] = Generator(module.STACK, module.build, source)
    return [found[name] for name in sorted(found)]


def render_all(generators: list[Generator]) -> list[Rendered]:
    """Render every template, and hold each consumed contract against what its needs publish."""
    _check_cards(generators)
    rendered = [_render(generator) for generator in generators]
    for item in rendered:
        needed = [other for other in rendered if {other.stack.name, other.stack.nested_in} & set(item.stack.needs)]
        offered = {contract for other in needed for contract in other.builder.published}
        for contract in item.builder.consumed:
            if contract not in offered:
                raise UnpublishedContract(contract.name, item.stack.name, item.stack.needs)
    return rendered


def _check_cards(generators: list[Generator]) -> None:
    names = {generator.stack.name for generator in generators}
    for generator in generators:
        stack = generator.stack
        for other in (*stack.needs, *([stack.nested_in] if stack.nested_in else [])):
            if other not in names:
                raise BadCard(generator.source, f"names the template '{other}', which no generator makes")
        if sum(map(bool, (stack.launch, stack.product, stack.nested_in))) != 1:
            raise BadCard(
                generator.source,
                "says none or several of `launch` (from a link), `product` (from the catalogue) and `nested_in` (by a template)",
            )


@cache
def rendered() -> tuple[Rendered, ...]:
    """Render this project's templates once in a process."""
    return tuple(render_all(discover()))


def _render(generator: Generator) -> Rendered:
    builder = Builder(generator.stack, generator.source)
    try:
        generator.build(builder)
        body = builder.finish()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # troposphere says so when a property is unknown, missing or of a wrong type.
        raise CantBuild(generator.source, _own_line(error), error) from error
    required = {name for name, asked in body.get("Parameters", {}).items() if "Default" not in asked}
    if lacking := sorted(required - set(generator.stack.trial.parameters)):
        raise BadCard(generator.source, f"has a trial without a value for {', '.join(lacking)}")
    return Rendered(generator, builder, body, render.to_yaml(body, generator.source))


def _own_line(error: Exception) -> str:
    """Give the last place in the generators that led to an error."""
    frames = traceback.extract_tb(error.__traceback__)
    ours, kit = ROOT / "generators", ROOT / "generators" / "kit"
    files = [(Path(frame.filename), frame.lineno) for frame in frames]
    own = [(path, line) for path, line in files if path.is_relative_to(ours) and not path.is_relative_to(kit)]
    if not own:
        return ""
    return f"{own[-1][0].relative_to(ROOT)}, line {own[-1][1]}"
