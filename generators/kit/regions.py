"""What differs from region to region: rendered facts, read from regions.json (sources: docs/reference/regions.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from troposphere import Equals, Not, Or
from troposphere import Region as RegionRef

from generators.kit.errors import GeneratorError

FACTS = Path(__file__).with_name("regions.json")


@dataclass(frozen=True)
class Region:
    """Facts of one region.

    `zones`: zone ids in the order they are tried; `registries`: accounts of AWS's own image registries; `lacks`: types of
    the optional features that the registry schemas don't have there."""

    name: str
    zones: tuple[str, ...]
    registries: tuple[str, ...]
    lacks: tuple[str, ...]

    def has(self, *types: str) -> bool:
        """Tell whether the region has all of these types."""
        return not set(types) & set(self.lacks)


@cache
def launch_regions() -> tuple[Region, ...]:
    """Give every region that is offered, by name."""
    facts = json.loads(FACTS.read_text(encoding="utf-8"))["regions"]
    return tuple(
        Region(name, tuple(row["zones"]), tuple(row["registries"]), tuple(row["lacks"]))
        for name, row in sorted(facts.items())
    )


def names() -> tuple[str, ...]:
    """Give the names of every region that is offered."""
    return tuple(region.name for region in launch_regions())


def offers(*types: str) -> Any:
    """Make the condition that the stack's region has all of these types. Raises where every launch region has them:
    a condition that is always true only misleads."""
    lacking = [Equals(RegionRef, region.name) for region in launch_regions() if not region.has(*types)]
    if not lacking:
        raise GeneratorError(f"Every launch region has {', '.join(types)}. Remove the condition on them.")
    return Not(lacking[0]) if len(lacking) == 1 else Not(Or(*lacking))
