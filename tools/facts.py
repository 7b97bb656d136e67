"""Render generators/kit/regions.json: reviewed facts from tools/region_sources.json, and the types each region lacks.

A region is offered when the registry schemas have every type that a template with a launch link names, and every type that its
defaults nest there, and no rule of the template refuses the defaults. CloudFormation refuses a template that names a type the
region lacks, whatever its conditions say. Templates read regions.json themselves, so they are rendered with the candidate first."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generators.kit import regions
from generators.kit.errors import GeneratorError
from generators.kit.registry import Rendered, discover, render_all
from tools.conditions import created, nested, refused
from tools.environments import ROOT
from tools.errors import MlopsError

SOURCES = ROOT / "tools" / "region_sources.json"
# What a row of the sources may carry for its reader alone.
NOTES = ("notes", "source")


class FactsFailed(MlopsError):
    """The facts are stale, or could not be rendered."""

    def __init__(self) -> None:
        super().__init__(
            "The facts of the regions are not what they have to be (see above). Run `./inv facts build` and commit."
        )


@dataclass(frozen=True)
class Offer:
    """Whether a region is offered, why not, and the types of options that are switched off there."""

    region: str
    reasons: tuple[str, ...]
    off: tuple[str, ...]

    @property
    def offered(self) -> bool:
        """Tell whether the region gets a launch link."""
        return not self.reasons

    def __str__(self) -> str:
        if self.reasons:
            return f"{self.region:16} not offered: {'; '.join(self.reasons)}"
        return f"{self.region:16} offered" + (f", switched off: {', '.join(self.off)}" if self.off else "")


def run(check: bool = False) -> None:
    """Render the facts, or with `check` say which regions are offered and whether they are current. Raises FactsFailed."""
    from tools.lint.command import run_module

    if run_module("tools.facts", *(["--check"] if check else [])) != 0:
        raise FactsFailed


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the work, in the environment that has the schemas."""
    from tools.lint.schemas import schema_date

    parser = argparse.ArgumentParser(prog="inv facts")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        text, found = facts()
    except GeneratorError as error:
        print(f"The templates can't be rendered with the facts of all regions: {error}", file=sys.stderr)
        return 1
    print(
        f"Registry schemas of {schema_date()}; {sum(offer.offered for offer in found)} of {len(found)} regions offered"
    )
    print("\n".join(map(str, found)))
    if regions.FACTS.read_text(encoding="utf-8") == text:
        print("generators/kit/regions.json is current.")
        return 0
    if asked.check:
        print("generators/kit/regions.json is not what the sources and schemas say.", file=sys.stderr)
        return 1
    regions.FACTS.write_text(text, encoding="utf-8")
    print("generators/kit/regions.json is written; run `./inv build`, the templates read it.")
    return 0


def facts() -> tuple[str, list[Offer]]:
    """Give the text of regions.json and what is said of each region. Raises GeneratorError."""
    from tools.lint.schemas import types_in

    sources = _sources()
    types = _types(render_all(discover()))
    with _facts_are(_text(sources, types, types_in)):
        templates = render_all(discover())
    # A type that only shows with another region's facts would need another round; types don't depend on regions.
    assert _types(templates) == types
    found = offers(templates, sorted(sources), types_in)
    offered = {offer.region: sources[offer.region] for offer in found if offer.offered}
    return _text(offered, types, types_in), found


def _sources() -> dict[str, dict[str, Any]]:
    """Read the reviewed sources. Raises GeneratorError with every row that lacks something."""
    try:
        rows: dict[str, dict[str, Any]] = json.loads(SOURCES.read_text(encoding="utf-8"))["regions"]
    except (ValueError, KeyError) as error:
        raise GeneratorError(f"tools/region_sources.json can't be read: {error!r}. Mend it there.") from error
    broken = [name for name, row in rows.items() if not {"zones", "registries"} <= set(row)]
    if broken:
        raise GeneratorError(
            f"tools/region_sources.json: {', '.join(broken)} need `zones` and `registries`. Add them there."
        )
    return rows


def offers(
    templates: Sequence[Rendered], names: Sequence[str], types_in: Callable[[str], frozenset[str]]
) -> list[Offer]:
    """Tell of each region whether it is offered, and what it goes without."""
    launched = [item for item in templates if item.stack.launch or item.stack.product]
    everything = _types(templates)
    found = []
    for name in names:
        has = types_in(name)
        wanted = _types(launched) | _types(_nested_by_default(launched, templates, name))
        reasons = [f"its registry lacks {type_}" for type_ in sorted(wanted - has)]
        for item in launched:
            reasons += refused(item.body, _values(item), name)
        found.append(Offer(name, tuple(reasons), tuple(sorted(everything - wanted - has))))
    return found


def _nested_by_default(launched: Sequence[Rendered], templates: Sequence[Rendered], region: str) -> list[Rendered]:
    """Give the nested templates that the defaults launch there."""
    by_name = {item.stack.name: item for item in templates}
    found = []
    for item in launched:
        children = nested(item.body)
        made = created(item.body, _values(item), region)
        found += [by_name[child] for logical, child in children.items() if logical in made and child in by_name]
    return found


def _values(item: Rendered) -> dict[str, str]:
    """Give what a person has to fill in: the trial's values of the parameters without a default."""
    asked = item.body.get("Parameters", {})
    return {name: value for name, value in item.stack.trial.parameters.items() if "Default" not in asked.get(name, {})}


def _types(templates: Sequence[Rendered]) -> frozenset[str]:
    return _known(body["Type"] for item in templates for body in item.body["Resources"].values())


def _known(types: Iterator[str]) -> frozenset[str]:
    # Custom resources are functions of ours: they exist wherever Lambda does.
    return frozenset(type_ for type_ in types if type_.startswith("AWS::") and "CustomResource" not in type_)


def _text(sources: Mapping[str, Any], types: frozenset[str], types_in: Callable[[str], frozenset[str]]) -> str:
    rows = {
        name: {key: value for key, value in row.items() if key not in NOTES} | {"lacks": sorted(types - types_in(name))}
        for name, row in sorted(sources.items())
    }
    return json.dumps({"regions": rows}, indent=1) + "\n"


@contextmanager
def _facts_are(text: str) -> Iterator[None]:
    """Have the kit read other facts for a while."""
    before = regions.FACTS
    with tempfile.TemporaryDirectory() as folder:
        regions.FACTS = Path(folder, before.name)
        regions.FACTS.write_text(text, encoding="utf-8")
        regions.launch_regions.cache_clear()
        try:
            yield
        finally:
            regions.FACTS = before
            regions.launch_regions.cache_clear()


if __name__ == "__main__":
    sys.exit(main())
