"""Everything that one release publishes, put together from this folder: templates, function zips, seeds, workspace files."""

from __future__ import annotations

import re
from pathlib import Path

from generators.kit.publishing import (
    ROOT,
    frameworks,
    function_key,
    release_prefix,
    schema_key,
    seed_key,
    template_key,
    workspace_key,
)
from generators.kit.registry import Rendered, rendered
from tools.model_config import SCHEMA
from tools.publish.errors import BadAssets, StaleTemplates
from tools.publish.functions import function_zips
from tools.publish.seeds import seed_zips

# It stands in the base template itself: it is what fetches and checks the others.
LOADER = "loader.sh"


def collect() -> dict[str, bytes]:
    """Give every object of the release but its manifest: key below the release prefix to bytes.

    Raises when committed templates are stale, and with all problems at once when a zip cannot be made."""
    templates = committed_templates(rendered(), ROOT / "templates")
    problems: list[str] = []
    objects = {
        **{template_key(name): data for name, data in templates.items()},
        **{function_key(name): data for name, data in function_zips(problems).items()},
        **{seed_key(name): data for name, data in seed_zips(problems).items()},
        **{schema_key(path.name): path.read_bytes() for path in [SCHEMA]},
        **{workspace_key(name): data for name, data in workspace_files().items()},
    }
    problems += missing_objects(templates, objects)
    if problems:
        raise BadAssets(problems)
    return dict(sorted(objects.items()))


def committed_templates(expected: tuple[Rendered, ...], folder: Path) -> dict[str, bytes]:
    """Read the committed templates, by name; raises unless they are exactly what the generators render."""
    found = {path.stem: path.read_bytes() for path in sorted(folder.glob("*.yaml"))}
    wanted = {item.stack.name: item.text.encode() for item in expected}
    problems = [f"templates/{name}.yaml is missing" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"templates/{name}.yaml has no generator" for name in sorted(found.keys() - wanted.keys())]
    problems += [
        f"templates/{name}.yaml is not what its generator renders"
        for name in sorted(found.keys() & wanted.keys())
        if found[name] != wanted[name]
    ]
    if problems:
        raise StaleTemplates(problems)
    return found


def workspace_files(root: Path = ROOT) -> dict[str, bytes]:
    """Read the scripts of spaces, by name: what is hashed for a project is what is published, byte for byte."""
    return {path.name: path.read_bytes() for path in sorted((root / "workspace").glob("*.sh")) if path.name != LOADER}


def missing_objects(templates: dict[str, bytes], objects: dict[str, bytes]) -> list[str]:
    """Say which published objects the templates name that the release would not hold, for each framework to choose."""
    named = re.compile(
        re.escape(release_prefix()) + r"((?:functions|seeds|templates|workspace)/[\w.-]+\.(?:sh|yaml|zip))"
    )
    texts = {
        name: "\n".join(data.decode().replace("${Framework}", one) for one in frameworks() or ("",))
        for name, data in templates.items()
    }
    return [
        f"templates/{name}.yaml names {key}, which nothing here makes: add its folder or change the generator"
        for name, text in texts.items()
        for key in sorted(set(named.findall(text)) - objects.keys())
    ]
