"""Watches what a job's own code imports: only the standard library, local modules, and what its image or `dependencies` hold.

Python runs this at start because its folder is first in PYTHONPATH. What allowed packages import among themselves passes.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder, SourceFileLoader
from os.path import abspath, dirname, join
from types import FrameType, ModuleType
from typing import Any

_HERE = dirname(abspath(__file__))  # noqa: PTH100, PTH120 (runs at every start: pathlib takes longer to import)


class Own:
    """Knows which files are the job's own: those in its sandbox, but for an interpreter that lies there too."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.roots = tuple(root.rstrip("/") + "/" for root in plan["roots"])
        self.foreign = tuple(root.rstrip("/") + "/" for root in plan["foreign"])

    def __call__(self, path: Any) -> bool:
        """Say whether a file is the job's own."""
        if not isinstance(path, str):
            return False
        path = abspath(path)  # noqa: PTH100
        return path.startswith(self.roots) and not path.startswith(self.foreign)


def compile_packages_only(own: Own) -> None:
    """Keep the job's own files from being compiled: another job has another file at the same path, maybe in the same second."""
    original, prefix = SourceFileLoader.set_data, sys.pycache_prefix

    def set_data(self: SourceFileLoader, path: str, data: Any, **mode: Any) -> None:
        if prefix is None or not own(path.removeprefix(prefix)):
            original(self, path, data, **mode)

    SourceFileLoader.set_data = set_data  # type: ignore[method-assign]


class Watch:
    """Stands in for the import statement and importlib.import_module."""

    def __init__(self, plan: Mapping[str, Any], own: Own) -> None:
        self.plan, self.own = plan, own
        self.allowed = {*plan["allowed"], *sys.stdlib_module_names, *sys.builtin_module_names, "__main__"}
        self.original, self.original_module = builtins.__import__, importlib.import_module

    def start(self) -> None:
        """Begin to watch."""
        builtins.__import__ = self.imported
        importlib.import_module = self.imported_module

    def importer(self, variables: Mapping[str, Any] | None, frame: FrameType) -> str | None:
        """Give the file that imports when it is the job's own, else None."""
        path = (variables or {}).get("__file__")
        if path is None:
            path = frame.f_code.co_filename
            if path.startswith("<") and (variables or {}).get("__name__") == "__main__":
                return str(path)  # python -c, or a script from standard input
        return path if self.own(path) else None

    def local(self, top: str) -> bool:
        """Say whether a module lies in the sandbox, imported already or not."""
        module = sys.modules.get(top)
        if module is not None and module.__spec__ is None:
            return self.own(getattr(module, "__file__", None))
        try:
            spec = module.__spec__ if module is not None else PathFinder.find_spec(top)
        except (ImportError, ValueError):
            return False
        return spec is not None and (
            self.own(spec.origin) or any(self.own(f"{item}/x") for item in spec.submodule_search_locations or ())
        )

    def check(self, name: str, variables: Mapping[str, Any] | None, frame: FrameType) -> None:
        """Raise ModuleNotFoundError, as the container would, for what its image does not hold."""
        top = name.partition(".")[0]
        if not top or top in self.allowed:
            return
        path = self.importer(variables, frame)
        if path is None or self.local(top):
            return
        distribution = self.plan["distributions"].get(top, top)
        raise ModuleNotFoundError(
            f"No module named {top!r}: {path} imports {top}, but the image {self.plan['image']} does not hold {distribution} and "
            f"{self.plan['dependencies']} does not name it. {self.plan['mend'].format(distribution=distribution)}",
            name=top,
        )

    def explained(
        self, error: ModuleNotFoundError, name: str, variables: Mapping[str, Any] | None, frame: FrameType
    ) -> Exception:
        """Say why a package is missing here that the image does hold."""
        top, path = name.partition(".")[0], self.importer(variables, frame)
        if error.name != top or top not in self.plan["allowed"] or path is None:
            return error
        return ModuleNotFoundError(
            f"No module named {top!r}: {path} imports {top}; the image {self.plan['image']} holds it, but {self.plan['python']} on "
            f"this machine does not. Install it there for the local run.",
            name=top,
        )

    def imported(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Do what the import statement does, checked."""
        if level or name.partition(".")[0] in sys.stdlib_module_names:
            return self.original(name, globals, locals, fromlist, level)
        frame = sys._getframe(1)
        self.check(name, globals, frame)
        try:
            return self.original(name, globals, locals, fromlist, level)
        except ModuleNotFoundError as error:
            raise self.explained(error, name, globals, frame) from None

    def imported_module(self, name: str, package: str | None = None) -> ModuleType:
        """Do what importlib.import_module does, checked."""
        frame = sys._getframe(1)
        if not name.startswith("."):
            self.check(name, frame.f_globals, frame)
        try:
            return self.original_module(name, package)
        except ModuleNotFoundError as error:
            raise self.explained(error, name, frame.f_globals, frame) from None


def next_sitecustomize() -> None:
    """Run the environment's own sitecustomize, which this one hides."""
    elsewhere = [item for item in sys.path if abspath(item or ".") != _HERE]  # noqa: PTH100
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def main() -> None:
    """Read the job's plan, which lies beside this file."""
    next_sitecustomize()
    with open(join(_HERE, "imports.json"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
        plan = json.load(file)
    own = Own(plan)
    compile_packages_only(own)
    if plan["imports"] is not None:
        Watch(plan["imports"], own).start()


main()
