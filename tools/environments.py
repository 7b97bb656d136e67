"""Make the Python environments of this project from their hashed locks, with uv where it is present, else venv and pip.

Run by `./inv` before anything is installed, so it needs the standard library alone."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.errors import MlopsError

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
# The functions run on this version in AWS; their tests use it where this machine has it.
LAMBDA_PYTHON = "3.13"


INDEX = "Check that pip reaches your package index, then run the same command again."


class EnvironmentFailed(MlopsError):
    """An environment could not be made."""

    def __init__(self, name: str, reason: str, mend: str = INDEX) -> None:
        if "ensurepip" in reason:
            mend = "Install Python's venv module (Debian: apt-get install python3-venv), or uv, then run it again."
        elif "Permission denied" in reason:
            mend = "Make the project's folder writable for you, then run it again."
        super().__init__(f"The environment '{name}' could not be made: {reason}\n{mend}")


def folder(name: str) -> Path:
    """Give the folder of an environment: `.venv` for main, `.venvs/<name>` for the others."""
    return ROOT / ".venv" if name == "main" else ROOT / ".venvs" / name


def python_of(name: str) -> Path:
    """Give the interpreter of an environment, whether or not it is made yet."""
    return folder(name) / "bin" / "python"


def names() -> list[str]:
    """List the environments that have a lock."""
    return sorted(path.stem for path in LOCKS.glob("*.txt"))


def ensure(name: str) -> Path:
    """Make the environment when it is missing or its lock changed, and give its interpreter."""
    lock, stamp = LOCKS / f"{name}.txt", folder(name) / ".lock"
    if not lock.is_file():
        raise EnvironmentFailed(name, f"there is no lock requirements/{name}.txt; there are: {', '.join(names())}")
    if _is_made(name, lock, stamp):
        return python_of(name)
    try:
        (ROOT / ".venvs").mkdir(exist_ok=True)
        with (ROOT / ".venvs" / f".{name}.making").open("w") as making:
            fcntl.flock(making, fcntl.LOCK_EX)  # two first starts at once: the second finds it made
            if not _is_made(name, lock, stamp):
                _make(name, lock, stamp)
    except OSError as error:
        raise EnvironmentFailed(name, str(error)) from error
    return python_of(name)


def _is_made(name: str, lock: Path, stamp: Path) -> bool:
    return python_of(name).exists() and stamp.is_file() and stamp.read_bytes() == lock.read_bytes()


def _make(name: str, lock: Path, stamp: Path) -> None:
    print(f"Making the environment '{name}' in {folder(name).relative_to(ROOT)} ...", file=sys.stderr, flush=True)
    # Without the stamp a half-made environment is never taken for a whole one.
    if folder(name).exists():
        shutil.rmtree(folder(name))
    base = (lambda_python() or sys.executable) if name == "lambda" else sys.executable
    uv = shutil.which("uv")
    if uv:
        _run(name, [uv, "venv", "--quiet", "--no-project", "--python", base, str(folder(name))])
        _run(name, [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python_of(name)), str(lock)])
    else:
        _run(name, [base, "-m", "venv", str(folder(name))])
        pip = [str(python_of(name)), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        _run(name, [*pip, "install", "--require-hashes", "--no-compile", "-r", str(lock)])
    shutil.copyfile(lock, stamp)


def lock() -> None:
    """Pin every environment of pyproject.toml anew. Locks name no index, so that they work behind a private one."""
    uv = shutil.which("uv")
    if uv is None:
        raise EnvironmentFailed(
            "lock", "locks are made with uv, which is not on the path.", "Install uv and run it again."
        )
    for name in names():
        source = ["pyproject.toml", "--group", "main"] if name == "main" else ["--group", name]
        plain = ["--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header", "--quiet"]
        fixed = ["--universal", "--python-version", "3.11", "--generate-hashes"]
        _run(name, [uv, "pip", "compile", *fixed, *plain, *source, "-o", str(LOCKS / f"{name}.txt")])
        print(f"requirements/{name}.txt")


def lambda_python() -> str | None:
    """Find an interpreter of the Lambda runtime's version: on the path, or among pyenv's versions."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [f"python{LAMBDA_PYTHON}", *(str(path) for path in sorted(pyenv.glob(f"{LAMBDA_PYTHON}*/bin/python")))]
    for candidate in found:
        try:
            answer = subprocess.run([candidate, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True)
        except OSError:
            continue
        if answer.returncode == 0 and answer.stdout.decode().strip() == f"({LAMBDA_PYTHON.replace('.', ', ')})":
            return candidate
    return None


def _run(name: str, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).strip().splitlines()[-6:]
        raise EnvironmentFailed(name, "\n  ".join([f"{' '.join(command[:4])} ... ended with {done.returncode}", *tail]))


if __name__ == "__main__":
    try:
        for wanted in sys.argv[1:]:
            ensure(wanted)
    except MlopsError as error:
        sys.exit(f"inv: {error}")
