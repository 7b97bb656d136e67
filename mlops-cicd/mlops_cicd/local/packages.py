"""Holds the jobs' interpreter against an image: told differences, allowed imports, dependencies installed by pip."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import requirement_files as requirements
from .errors import PlaceError
from .place import Image, ImageOf, Say
from .requirement_files import normal

INSIDE = Path(__file__).parent / "inside"
PIP_SECONDS = 900
# Distributions whose packages are named otherwise; needed only where the interpreter does not have them.
_IMPORTED_AS: Mapping[str, tuple[str, ...]] = {
    "scikit-learn": ("sklearn",),
    "pyyaml": ("yaml",),
    "pillow": ("PIL",),
    "python-dateutil": ("dateutil",),
    "opencv-python": ("cv2",),
    "opencv-python-headless": ("cv2",),
    "protobuf": ("google",),
    "pyzmq": ("zmq",),
    "beautifulsoup4": ("bs4",),
    "setuptools": ("setuptools", "pkg_resources"),
}
_CONFIG = {"preprocessing": "preprocess_config", "training": "train_config", "inference": "inference_config"}


@dataclass(frozen=True)
class Inventory:
    """What an interpreter holds; names of distributions are normalised, `tops` maps a package to its distributions."""

    python: str
    versions: Mapping[str, str]
    requires: Mapping[str, list[str]]
    tops: Mapping[str, list[str]]
    folders: tuple[str, ...]
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Tools:
    """What a job of one image runs with.

    The interpreter, the folders of installed dependencies and of compiled packages, all folders that must be seen in the sandbox,
    and the plan of the imports' watch.
    """

    python: Path
    extra: Path | None
    bytecode: Path
    folders: tuple[str, ...]
    imports: Mapping[str, Any] | None


@functools.cache
def inventory(python: Path, extra: Path | None = None) -> Inventory:
    """Ask an interpreter what it holds, once a process."""
    env = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"} | ({"PYTHONPATH": str(extra)} if extra else {})
    try:
        done = subprocess.run(
            [python, str(INSIDE / "inventory.py")], env=env, capture_output=True, text=True, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlaceError(f"The interpreter {python} does not start: {error}. Name another one.") from error
    if done.returncode:
        raise PlaceError(
            f"The interpreter {python} does not say what it holds: {done.stderr.strip()[-400:]}. Name Python 3.11 or later."
        )
    found = json.loads(done.stdout)
    return Inventory(
        found["python"],
        found["versions"],
        found["requires"],
        found["tops"],
        tuple(found["folders"]),
        tuple(found["packages"]),
    )


def tools(uri: str, image: Image, python: Path, cache: Path, say: Say) -> Tools:
    """Make ready what jobs of an image run with; installs what `dependencies` names and the interpreter lacks."""
    python = Path(os.path.abspath(python))  # noqa: PTH100 (links stay: a virtual environment is known by its own path)
    held = inventory(python)
    extra = _installed(image.dependencies, python, held, cache, say) if image.dependencies else None
    if extra:
        held = inventory(python, extra)
    imports = _imports(uri, image, held, python) if image.packages is not None else None
    bytecode = cache.absolute() / "bytecode"
    bytecode.mkdir(parents=True, exist_ok=True)
    return Tools(python, extra, bytecode, (*held.folders, str(bytecode), *([str(extra)] if extra else ())), imports)


def tell(images: Iterable[str], image_of: ImageOf, python: Path, say: Say) -> None:
    """Say once for each image what is not known of it, or in which versions this machine differs from it."""
    for uri in images:
        packages = image_of(uri).packages
        if packages is None:
            say(f"not played: nothing is known of the image {uri}, so what its jobs import is not checked")
            continue
        lines = differences(packages, inventory(python))
        if lines:
            say(f"{short(uri)}: {', '.join(lines)}")


def differences(packages: Mapping[str, str], held: Inventory) -> list[str]:
    """Write each package that this machine has in another version than the image."""
    found = []
    for name, there in sorted(packages.items()):
        here = held.versions.get(normal(name))
        if here is None:  # another distribution of the same package, such as xgboost-cpu for xgboost
            others = [other for top in _names(name) for other in held.tops.get(top, ())]
            here = held.versions.get(others[0]) if others else None
        if here is not None and here != there:
            found.append(f"{name} {here} here, {there} in the image")
    return found


def short(uri: str) -> str:
    """Name an image without its registry."""
    return uri.rpartition("/")[2]


def _names(distribution: str) -> tuple[str, ...]:
    name = normal(distribution)
    return (*_IMPORTED_AS.get(name, ()), name.replace("-", "_"), distribution)


def _closure(names: Iterable[str], held: Inventory) -> set[str]:
    """Add what the named distributions need themselves: the image holds that too."""
    found: set[str] = set()
    todo = [normal(name) for name in names]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += held.requires.get(name, ())
    return found


def _imports(uri: str, image: Image, held: Inventory, python: Path) -> Mapping[str, Any]:
    named = [item.name for item in requirements.read(image.dependencies)] if image.dependencies else []
    direct = [*(image.packages or ()), *named]
    allowed = {top for name in direct for top in _names(name)}
    held_by = {other for top in allowed for other in held.tops.get(top, ())}
    whole = _closure([*direct, *held_by], held)
    allowed |= {top for top, owners in held.tops.items() if whole & set(owners)}
    config = _CONFIG.get(image.purpose, "this job's section")
    given = image.dependencies.name if image.dependencies else None
    mend = (
        f"Write {{distribution}} into {given}"
        if given
        else f"Name a requirement file with {{distribution}} as `dependencies` of {config}"
    )
    return {
        "allowed": sorted(allowed),
        "image": short(uri),
        "python": str(python),
        "distributions": {top: owners[0] for top, owners in held.tops.items()},
        "dependencies": given or f"`dependencies` of {config}",
        "mend": f"{mend}, or leave the import out.",
    }


def _installed(path: Path, python: Path, held: Inventory, cache: Path, say: Say) -> Path | None:
    """Install a requirement file's packages once, and give the folder they lie in; None when the interpreter has them all."""
    wanted = requirements.read(path)
    if all(requirements.satisfied(item, held.versions) for item in wanted):
        return None
    key = hashlib.sha256(
        json.dumps([list(requirements.lines(path)), str(python), held.python, sorted(held.versions.items())]).encode()
    ).hexdigest()[:16]
    target = cache.absolute() / f"dependencies-{key}"
    if not target.is_dir():
        say(f"Installing {', '.join(item.name for item in wanted)} from {path.name} (kept in {target})")
        _pip(path, python, held, target)
    return next((target / "lib").glob("python*/site-packages"))


def _pip(path: Path, python: Path, held: Inventory, target: Path) -> None:
    """Let pip install into a new environment that sees the interpreter's packages, so that only what is lacking is added."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    pip = _pip_of(python, held)
    try:
        _run(
            [str(python), "-m", "venv", *(["--without-pip"] if pip else []), str(part)],
            path,
            "cannot make an environment",
        )
        site = next((part / "lib").glob("python*/site-packages"))
        own = list(site.iterdir())
        (site / "interpreter.pth").write_text("\n".join(held.packages) + "\n", encoding="utf-8")
        inside = str(part / "bin" / "python")
        command = [str(pip), "-m", "pip", "--python", inside] if pip else [inside, "-m", "pip"]
        command += ["install", "--quiet", "--disable-pip-version-check", "--no-input", "-r", str(path)]
        _run(command, path, "pip cannot install it")
        (site / "interpreter.pth").unlink()
        for item in own:  # pip itself is no package of the job's
            shutil.rmtree(item, ignore_errors=True)
        if not target.is_dir():
            part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _pip_of(python: Path, held: Inventory) -> Path | None:
    """Find an interpreter whose pip can install into another environment; making a new pip takes seconds."""
    for item in (python, Path(sys.executable), *(Path(folder) / "bin" / "python3" for folder in held.folders)):
        if item.is_file():
            version = inventory(item).versions.get("pip", "0")
            if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) >= (22, 3):
                return item
    return None


def _run(command: list[str], path: Path, what: str) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    try:
        done = subprocess.run(command, env=env, cwd=path.parent, capture_output=True, text=True, timeout=PIP_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlaceError(f"{path.name}: {what}: {error}. Check the index that pip uses, then run again.") from error
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-6:])
        raise PlaceError(f"{path.name}: {what}:\n{said}\nMend the line that pip names in {path}, or the index it asks.")
