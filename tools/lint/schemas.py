"""Registry schemas and dates, as the pinned cfn-lint ships them."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

HOME = "us-east-1"


@cache
def schema(type_: str, region: str = HOME) -> dict[str, Any]:
    """Give the registry schema of a type, empty for custom resources and types nobody knows."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

    if not type_.startswith(("AWS::", "Alexa::")) or type_.startswith("AWS::CloudFormation::CustomResource"):
        return {}
    try:
        found: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, type_).schema
    except ResourceNotFoundError:
        return {}
    return found


def properties_of(type_: str) -> dict[str, Any]:
    """Give the top-level properties of a type."""
    return dict(schema(type_).get("properties", {}))


@cache
def types_in(region: str) -> frozenset[str]:
    """Give the types that the registry has in a region."""
    text = (resources.files("cfnlint.data.schemas.providers") / f"{region}.json").read_text(encoding="utf-8")
    return frozenset(json.loads(text))


@cache
def schema_date() -> str:
    """Give the day the schemas were taken, as YYYY-MM-DD. It stands for today, so that a result never depends on the clock."""
    text = (resources.files("cfnlint.data.schemas") / "version.json").read_text(encoding="utf-8")
    return str(json.loads(text)["schema_date"])[:10]


@cache
def runtimes() -> dict[str, dict[str, Any]]:
    """Give the Lambda runtimes with their end dates."""
    text = (resources.files("cfnlint.data.AdditionalSpecs") / "LmbdRuntimeLifecycle.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def create_only(type_: str, *, conditional: bool = False) -> tuple[str, ...]:
    """Give the pointers of properties whose change replaces the resource; conditional: replaces it sometimes."""
    name = "conditionalCreateOnlyProperties" if conditional else "createOnlyProperties"
    return tuple(schema(type_).get(name, ()))


def use_bundled() -> None:
    """Have cfn-lint read the schemas it was released with, never newer ones that somebody downloaded to a cache."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

    bundled = Path(str(resources.files("cfnlint.data.schemas")))
    PROVIDER_SCHEMA_MANAGER._providers_dir = bundled / "providers"
    PROVIDER_SCHEMA_MANAGER._resources_dir = bundled / "resources"
    PROVIDER_SCHEMA_MANAGER.reset()
