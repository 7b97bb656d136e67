"""What is rendered from the model of model_config.yaml: its JSON Schema, its reference page; and the lock of the builds.

Reading the model costs more than rendering all templates, so each file names the digest of what it was rendered from, and is
rendered anew only when that changed. The contract tests always render it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.environments import LOCKS, ROOT

CICD = ROOT / "mlops-cicd"
SOURCE = CICD / "mlops_cicd" / "config"
SCHEMA = CICD / "model_config.schema.json"
PAGE = ROOT / "docs" / "reference" / "model_config.md"


def files() -> Iterator[tuple[Path, str]]:
    """Give the rendered files; none where this copy of the project holds no CI/CD jobs."""
    if not SOURCE.is_dir():
        return
    lock = (LOCKS / "cicd.txt").read_text(encoding="utf-8")
    yield (
        CICD / "requirements.txt",
        f"# Rendered from pyproject.toml, group cicd, by `inv lock` and `inv build`.\n{lock}",
    )
    note = f"Rendered from mlops-cicd/mlops_cicd/config by `inv build` (source {digest()}). Change it there."
    current = {path: path.read_text(encoding="utf-8") for path in (SCHEMA, PAGE) if path.is_file()}
    if len(current) == 2 and all(note in text for text in current.values()):
        yield from current.items()
    else:
        yield from render(note)


def render(note: str) -> Iterator[tuple[Path, str]]:
    """Render schema and page from the model."""
    config = package("config")
    yield SCHEMA, json.dumps({"$comment": note, **config.schema()}, indent=2, ensure_ascii=False) + "\n"
    yield PAGE, f"<!-- {note} -->\n{config.page().rstrip()}\n"


def beginning_problems(folder: Path, name: str) -> list[str]:
    """Tell what keeps a framework's folder from being the beginning of a project, whatever its problem and inference type."""
    config, project = package("config"), package("project")
    try:
        loaded = config.load(folder / "model_config.yaml")
        for problem_type in project.PROBLEM_TYPES:
            for inference_type in project.INFERENCE_TYPES:
                config.check_project(loaded, folder, problem_type, inference_type)
    except config.ConfigError as error:
        return [f"{name}/{line}" for line in str(error).splitlines()]
    return []


def digest() -> str:
    """Give 16 hexadecimal digits of the model's source."""
    found = hashlib.sha256()
    for path in sorted(SOURCE.glob("*.py")):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def package(name: str):  # type: ignore[no-untyped-def]  # modules have no narrower type
    """Import a package of mlops-cicd, which is a project of its own."""
    from importlib import import_module

    if str(CICD) not in sys.path:
        sys.path.append(str(CICD))
    return import_module(f"mlops_cicd.{name}")
