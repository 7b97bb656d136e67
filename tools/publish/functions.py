"""One zip a function: every folder of lambdas/ with the shared modules and AWS Lambda Powertools beside its handler.

Powertools comes from the main environment, whose lock pins it by hash; the functions then need no layer, and a layer's
account and version would differ from region to region."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import metadata
from pathlib import Path

from generators.kit.publishing import ROOT
from tools.publish.zips import Member, archive

LIBRARY = "aws-lambda-powertools"
LOCK = ROOT / "requirements" / "main.txt"
# Pages of the REST event handler, 1.7 MB that no function here serves.
NEVER_USED = ("aws_lambda_powertools/event_handler/openapi/swagger_ui/",)


def function_zips(problems: list[str], root: Path = ROOT) -> dict[str, bytes]:
    """Zip every function, by folder name; what is wrong is added to `problems`."""
    library = library_files(problems)
    shared = _modules(root / "lambdas" / "_shared")
    zips = {}
    for folder in sorted((root / "lambdas").iterdir()):
        if not folder.is_dir() or folder.name.startswith(("_", ".")):
            continue
        own = _modules(folder)
        if "handler.py" not in own:
            problems.append(f"lambdas/{folder.name} has no handler.py: write it, or remove the folder")
        # A module of the same name in two places would be imported from the one that nobody looks at.
        for name in sorted(own.keys() & shared.keys() | {name for name in own if name in _tops(library)}):
            problems.append(f"lambdas/{folder.name}/{name} hides a module of the same name in its zip: rename it")
        zips[folder.name] = archive({**library, **shared, **own})
    return zips


def library_files(problems: list[str], name: str = LIBRARY, lock: Path = LOCK) -> dict[str, Member]:
    """Give the files of a distribution and of all it needs, as its wheel brought them; checked by their RECORD."""
    found: dict[str, Member] = {}
    waiting, seen = [name], set()
    pins = pinned(lock)
    while waiting:
        wanted = waiting.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        try:
            distribution = metadata.distribution(wanted)
        except metadata.PackageNotFoundError:
            problems.append(f"{wanted} is not installed in .venv: remove the folder .venv, ./inv makes it again")
            continue
        if distribution.version != pins.get(wanted):
            problems.append(
                f"{wanted} {distribution.version} is installed, requirements/{lock.name} pins {pins.get(wanted)}: "
                "remove the folder .venv, ./inv makes it again"
            )
        found.update(_files(distribution, problems))
        waiting += _needs(distribution)
    return found


def pinned(lock: Path) -> dict[str, str]:
    """Read which version of each distribution a lock pins."""
    lines = re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return {_canonical(name): version for name, version in lines}


def _needs(distribution: metadata.Distribution) -> list[str]:
    plain = [line for line in distribution.requires or [] if "extra ==" not in line]
    return [_canonical(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in plain]


def _files(distribution: metadata.Distribution, problems: list[str]) -> dict[str, Member]:
    found = {}
    for path in distribution.files or []:
        name = path.as_posix()
        # Scripts lie outside of the packages folder and begin with the path of this machine's interpreter.
        outside = name.startswith("..") or path.is_absolute()
        written_here = path.suffix == ".pyc" or (".dist-info" in path.parts[0] and not _from_wheel(path))
        if outside or written_here or name.startswith(NEVER_USED):
            continue
        location = Path(str(path.locate()))
        data = location.read_bytes() if location.is_file() else None
        # RECORD tells what the wheel held: an edited file would be published from this machine alone.
        if data is None or (path.hash and _digest(data, path.hash.mode) != path.hash.value):
            problems.append(f"{location} is not as its wheel brought it: remove the folder .venv, ./inv makes it again")
            continue
        found[name] = Member(data)
    return found


def _from_wheel(path: metadata.PackagePath) -> bool:
    """Tell metadata and licences from the notes that installers leave (INSTALLER, RECORD, direct_url.json)."""
    return path.name == "METADATA" or path.parts[1].lower().startswith(("licen", "notice", "copying"))


def _digest(data: bytes, mode: str) -> str:
    return base64.urlsafe_b64encode(hashlib.new(mode, data).digest()).rstrip(b"=").decode()


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _modules(folder: Path) -> dict[str, Member]:
    return {path.name: Member(path.read_bytes()) for path in sorted(folder.glob("*.py"))}


def _tops(library: dict[str, Member]) -> set[str]:
    """Give the file names that would hide a top-level module or package of the library."""
    tops = {name.split("/", 1)[0] for name in library}
    return {top if top.endswith(".py") else f"{top}.py" for top in tops}
