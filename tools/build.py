"""Render every committed file that comes from the generators, or say which are stale."""

from __future__ import annotations

from pathlib import Path

from generators.kit.registry import rendered
from tools import documents, model_config
from tools.environments import ROOT
from tools.errors import Problems


def build(check: bool = False) -> None:
    """Write what is rendered; with `check`, raise when a committed file is not what would be written."""
    wanted = files()
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_bytes() != text.encode()]
    orphans = _orphans(wanted)
    if check:
        _refuse(stale, orphans)
        print(f"{len(wanted)} rendered files are what the generators say.")
        return
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: an interrupted build leaves the old file.
        half = path.with_name(path.name + ".new")
        half.write_bytes(wanted[path].encode())
        half.replace(path)
    for path in orphans:
        path.unlink()
    for path in [*stale, *orphans]:
        print(f"{'rendered' if path in wanted else 'removed '}  {path.relative_to(ROOT)}")
    print(f"{len(wanted)} rendered files, {len(stale)} changed, {len(orphans)} removed.")


def files() -> dict[Path, str]:
    """Give every rendered file with its content."""
    templates = rendered()
    wanted = {item.path: item.text for item in templates}
    wanted[ROOT / ".taskcat.yml"] = documents.taskcat(templates)
    for item in templates:
        wanted[ROOT / "docs" / "reference" / f"{item.stack.name}.md"] = documents.reference(item)
    wanted[ROOT / "docs" / "reference" / "regions.md"] = documents.region_page()
    wanted[ROOT / "docs" / "reference" / "quotas.md"] = documents.quota_page(templates)
    wanted |= dict(model_config.files())
    readme = ROOT / "README.md"
    wanted[readme] = documents.readme(readme.read_text(encoding="utf-8"), templates)
    return wanted


def _orphans(wanted: dict[Path, str]) -> list[Path]:
    """Give the files that an earlier build rendered and this one does not. Raises on what no build has rendered."""
    found: list[Path] = []
    foreign: list[Path] = []
    for folder in (ROOT / "templates", ROOT / "docs" / "reference"):
        for path in sorted(folder.rglob("*")):
            if path in wanted or path.is_dir():
                continue
            first = path.read_bytes().split(b"\n", 1)[0]
            (found if b"Rendered from" in first or path.name.endswith(".new") else foreign).append(path)
    if foreign:
        names = [f"{path.relative_to(ROOT)} was written by hand" for path in foreign]
        raise Problems("templates/ and docs/reference/ are rendered:", names, "Move them, guides to docs/guides/.")
    return found


def _refuse(stale: list[Path], orphans: list[Path]) -> None:
    problems = [f"{path.relative_to(ROOT)} is not what its generator says" for path in stale]
    problems += [f"{path.relative_to(ROOT)} comes from no generator" for path in orphans]
    if problems:
        raise Problems("Rendered files are stale:", problems, "Run `./inv build` and commit what it changes.")
