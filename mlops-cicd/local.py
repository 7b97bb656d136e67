"""Run a project's pipeline on this machine: `python3 local.py [OPTIONS]`, in a checkout of the project.

Run by a data scientist as `inv local` in a space of Studio. What the command itself needs and this interpreter lacks is
installed once, beside the interpreter's packages, and the jobs never see it."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

CALLED = "inv local"
REQUIREMENTS = Path(__file__).resolve().with_name("requirements.txt")
PYTHON = (3, 11)
# The oldest versions that the command works with; requirements.txt holds those that it is tested with.
NEEDED = {"boto3": (1, 43), "dockerfile-parse": (2, 0), "pydantic": (2, 11), "ruamel.yaml": (0, 18)}
PIP_SECONDS = 600
MEND = (
    "Look at what the last start said about pip in ~/.mlops/start.log, have it done again with"
    " `bash ~/.mlops/start.sh PROJECT`, then run this again."
)


class NotPrepared(Exception):
    """What the command needs is not there; the message ends with the mend."""


def main(words: Sequence[str]) -> int:
    """Run what the command line asks for, and give the exit code."""
    try:
        if sys.version_info < PYTHON:
            raise NotPrepared(
                f"{sys.executable} is Python {sys.version.split()[0]}. Use {PYTHON[0]}.{PYTHON[1]} or later."
            )
        if lacking():
            # First, and with all that belongs to it: half of pydantic from here and half from there would not work.
            sys.path.insert(0, str(packages(Path.home() / ".mlops" / "packages")))
            importlib.invalidate_caches()
    except (NotPrepared, OSError) as error:
        print(f"{CALLED}: {error}", file=sys.stderr)
        return 1
    from mlops_cicd import laptop

    return laptop.main(words, called=CALLED)


def lacking() -> list[str]:
    """List what this interpreter has not, or not new enough. Nothing is imported: that would decide which one is used."""
    return [name for name, oldest in NEEDED.items() if _version(name) < oldest]


def _version(name: str) -> tuple[int, ...]:
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(int(number) for number in re.findall(r"\d+", found or "")[:2])


def packages(place: Path) -> Path:
    """Give the folder with the packages of requirements.txt for this kind of interpreter; pip fills it when it is not there.

    The home of a space outlives its image, so that the next image's Python must not find what was built for the last one's."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    target = place / f"{digest}-{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
    if target.is_dir():
        return target
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():  # another terminal was first
            return target
        print(f"Installing what {CALLED} needs, once: {', '.join(lacking())}", flush=True)
        # Whole or not at all: a folder of this name is one that pip has finished.
        with tempfile.TemporaryDirectory(prefix="part-", dir=place) as part:
            _pip(Path(part) / "packages")
            for old in place.iterdir():
                if old.is_dir() and old != Path(
                    part
                ):  # of an earlier requirements.txt or image, or of a run that was cut off
                    shutil.rmtree(old, ignore_errors=True)
            (Path(part) / "packages").rename(target)
    return target


def _pip(target: Path) -> None:
    """Install from the index that pip is configured for. Raises NotPrepared."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-warn-conflicts", "--retries", "2", "--only-binary", ":all:", "--require-hashes"]
    command += ["--requirement", str(REQUIREMENTS), "--target", str(target)]
    # A person's wish to install for themselves (pip.conf: user = true) excludes a target.
    environment = os.environ | {"PIP_USER": "0"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PIP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotPrepared(f"pip did not end within {PIP_SECONDS} seconds. {MEND}") from error
    if done.returncode or not target.is_dir():
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-6:])
        raise NotPrepared(f"pip can't install what it needs:\n{said}\n{MEND}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
