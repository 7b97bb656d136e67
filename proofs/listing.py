"""Which proofs there are: the folder is the list. Reads the modules without importing them, so that it needs nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

HERE = Path(__file__).parent


def proofs(folder: Path = HERE) -> dict[str, str]:
    """Give every proof's name with its module, sorted by name: a module with a NAME and a `run`."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        name = next((named for node in body if (named := _name(node))), None)
        if name and any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in body):
            found[name] = f"{folder.name}.{path.stem}"
    return dict(sorted(found.items()))


def _name(node: ast.stmt) -> str | None:
    """Give the text of `NAME = "..."`, None for any other statement."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
        return None
    targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
    return str(node.value.value) if targets == ["NAME"] else None
