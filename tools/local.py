"""`inv local`: run a project's pipeline on this machine, with the packages of the environment `seeds`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from generators.kit.publishing import frameworks
from tools.environments import ROOT, ensure
from tools.errors import MlopsError
from tools.model_config import package

TRIALS = ROOT / "build" / "local"
NOT_CODE = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", ".pytest_cache", "build")


class UnknownFramework(MlopsError):
    """There is no seed code for a framework."""

    def __init__(self, name: str) -> None:
        super().__init__(f"seedcode-repo/ holds no {name}. Take one of {', '.join(frameworks())}.")


class LocalFailed(MlopsError):
    """The pipeline failed here; it has said why."""

    def __init__(self) -> None:
        super().__init__("The pipeline did not succeed. What it said stands above.")


def run(framework: str, project: str, **options: str) -> None:
    """Run the pipeline of a checkout, or with a framework that of a fresh copy of its seed code."""
    if framework:
        where = TRIALS / "-".join(filter(None, (framework, options["problem"], options["inference"]))).replace("_", "-")
        folder = _copy(framework, where)
    else:
        # `inv` works from the library's own folder; people mean theirs.
        folder = where = Path(os.environ.get("INV_FROM", "."), project or ".").resolve()
    words = [f"--project={folder}", f"--python={ensure('seeds')}"]
    words += [f"--folder={where / 'local'}"] if framework else []
    for name, value in options.items():
        for one in value.split(",") if name == "parameter" else [value]:
            words += [f"--{name}={_path(one) if name in ('data', 'definition') else one}"] if one else []
    if package("laptop").main(words, called="./inv local") != 0:
        raise LocalFailed


def _path(given: str) -> Path:
    return Path(os.environ.get("INV_FROM", "."), given).resolve()


def _copy(framework: str, where: Path) -> Path:
    """Copy the seed code of a framework, so that a run leaves nothing in it."""
    if framework not in frameworks():
        raise UnknownFramework(framework)
    target = where / framework
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(ROOT / "seedcode-repo" / framework, target, ignore=NOT_CODE)
    return target
