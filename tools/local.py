"""`inv local`: run a project's pipeline on this machine, with the packages of the environment `seeds`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
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


class NotTogether(MlopsError):
    """Two options that exclude each other."""

    def __init__(self, framework: str, option: str) -> None:
        super().__init__(
            f"--framework runs a copy of the seed code with its own sample, and --{option} names what is yours. Leave one of "
            f"the two out; to begin with the seed, copy seedcode-repo/{framework} and name the copy with --project."
        )


class NotCopied(MlopsError):
    """The seed code can't be copied to where it is run."""

    def __init__(self, error: OSError) -> None:
        super().__init__(
            f"{error.filename}: {error.strerror}. Mend or free that place, or copy the seed code elsewhere and name "
            "the copy with --project."
        )


def run(framework: str, project: str, migrate: bool = False, **options: str) -> None:
    """Run the pipeline of a checkout, or with a framework that of a fresh copy of its seed code; ends with its exit code."""
    if framework:
        for option in [
            name for name, value in {"project": project, **options}.items() if value and name in ("project", "data")
        ]:
            raise NotTogether(framework, option)
        where = TRIALS / "-".join(filter(None, (framework, options["problem"], options["inference"]))).replace("_", "-")
        folder = _copy(framework, where)
    else:
        # `inv` works from the library's own folder; people mean theirs.
        folder = where = _path(project or ".")
    words = [f"--project={folder}", f"--python={ensure('seeds')}"]
    words += [f"--cache={TRIALS / 'cache'}"]  # one for all checkouts: what packages compile to is the same
    words += [f"--folder={where / 'local'}"] if framework else []
    for name, value in options.items():
        # Several parameters in one option; a comma may also be part of a value.
        for one in re.split(r",(?=\w[\w-]*=)", value) if name == "parameter" else [value]:
            words += [f"--{name}={_path(one) if name in ('data', 'definition') else one}"] if one else []
    words += ["--migrate"] if migrate else []
    if code := package("laptop").main(words, called="./inv local"):
        raise SystemExit(code)


def _path(given: str) -> Path:
    return Path(os.environ.get("INV_FROM", "."), Path(given).expanduser()).resolve()


def _copy(framework: str, where: Path) -> Path:
    """Copy the seed code of a framework, so that a run leaves nothing in it."""
    if framework not in frameworks():
        raise UnknownFramework(framework)
    target = where / framework
    try:
        where.mkdir(parents=True, exist_ok=True)
        # Whole before it is there, since another run may be reading the copy before.
        with tempfile.TemporaryDirectory(dir=where, prefix=".copy-") as part:
            fresh = shutil.copytree(ROOT / "seedcode-repo" / framework, Path(part, "new"), ignore=NOT_CODE)
            with contextlib.suppress(FileNotFoundError):
                target.rename(Path(part, "old"))
            try:
                fresh.rename(target)
            except OSError:
                if not target.is_dir():  # else another run was first, with the same code
                    raise
    except OSError as error:
        raise NotCopied(error) from error
    return target
