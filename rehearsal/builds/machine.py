"""What a build finds around itself: a folder, programs, an environment with nothing of the machine's in it.

`python3` is the interpreter of .venvs/cicd, `aws` that of .venvs/rehearsal. `python3 -m venv` makes an environment that sees
the packages of .venvs/cicd, with the pip that Python brings: pip finds the pinned requirements of the jobs satisfied. What else it
installs comes through the emulated CodeArtifact. There is no Docker."""

from __future__ import annotations

import stat
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rehearsal.errors import MissingPackage

ROOT = Path(__file__).resolve().parents[2]
_VENV = '''"""Stands for `python3 -m venv` in a build; see rehearsal/builds/machine.py."""
import argparse, sys, venv
from pathlib import Path

asked = argparse.ArgumentParser(prog="venv")
asked.add_argument("folders", nargs="+")
for flag in ("--clear", "--upgrade", "--upgrade-deps", "--system-site-packages", "--symlinks", "--copies", "--without-pip"):
    asked.add_argument(flag, action="store_true")
asked.add_argument("--prompt")
given = asked.parse_args()
for folder in map(Path, given.folders):
    venv.EnvBuilder(clear=given.clear, symlinks=True, with_pip=False, prompt=given.prompt).create(folder)
    version = "python%d.%d" % sys.version_info[:2]
    (folder / "lib" / version / "site-packages" / "build_image.pth").write_text(chr(10).join(SEEN) + chr(10))
    for name in ("pip", "pip3"):
        script = folder / "bin" / name
        script.write_text("#!/bin/sh" + chr(10) + 'exec "$(dirname "$0")/python" -m pip "$@"' + chr(10))
        script.chmod(0o755)
    print(f"[rehearsal] {folder}: the build image's packages are seen in it, so that nothing has to be downloaded.")
'''


@dataclass(frozen=True)
class Machine:
    """A place for one build."""

    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    def prepare(self) -> None:
        """Put the programs there that a build finds on its PATH before the system's."""
        python, aws = ROOT / ".venvs/cicd/bin/python", ROOT / ".venvs/rehearsal/bin/aws"
        if not python.exists():
            raise MissingPackage(python, "interpreter: make the environment .venvs/cicd, as ./inv does, and then")
        self.bin.mkdir(parents=True)
        seen = [str(_packages(python)), str(unpacked_pip(self.folder.parent))]
        script = self.folder / "make_environment.py"
        script.write_text(_VENV.replace("SEEN", repr(seen)), encoding="utf-8")
        own = self.folder / "python"  # of the build alone: what it installs stays in its folder
        subprocess.run([python, script, own], check=True, capture_output=True)
        shim = f'#!/bin/sh\nif [ "$1 $2" = "-m venv" ]; then shift 2; exec {own}/bin/python {script} "$@"; fi\n'
        for name in ("python", "python3", "python3.12"):
            _program(self.bin / name, f'{shim}exec {own}/bin/python "$@"\n')
        for name in ("pip", "pip3"):
            _program(self.bin / name, f'#!/bin/sh\nexec {own}/bin/python -m pip "$@"\n')
        _program(self.bin / "aws", f'#!/bin/sh\nexec {aws} "$@"\n')
        missing = "#!/bin/sh\necho 'docker: command not found (the rehearsal has no Docker)' >&2\nexit 127\n"
        _program(self.bin / "docker", missing)

    def environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """Give a clean environment with `own` in it; other hosts than this one are out of reach, as in a VPC."""
        (self.folder / "home").mkdir(exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        nowhere = "http://127.0.0.1:9"
        return {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            "HTTP_PROXY": nowhere,
            "HTTPS_PROXY": nowhere,
            "http_proxy": nowhere,
            "https_proxy": nowhere,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "AWS_EC2_METADATA_DISABLED": "true",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            "PIP_RETRIES": "0",
            "PYTHONUNBUFFERED": "1",
            **own,
        }


@cache
def _packages(python: Path) -> Path:
    told = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(told.stdout.strip())


@cache
def unpacked_pip(folder: Path) -> Path:
    """Unpack the pip that Python ships; it reads the packages of whatever environment runs it."""
    target = folder / "pip"
    with zipfile.ZipFile(pip_wheel()) as archive:
        archive.extractall(target)
    return target


def pip_wheel() -> Path:
    """Find the pip that Python ships: beside ensurepip, or where a distribution keeps such wheels. Raises MissingPackage."""
    import ensurepip

    kept = sysconfig.get_config_var("WHEEL_PKG_DIR") or "/usr/share/python-wheels"
    for folder in (Path(ensurepip.__file__).parent / "_bundled", Path(kept)):
        for wheel in sorted(folder.glob("pip-*.whl")):
            return wheel
    raise MissingPackage(Path(sys.executable), "pip's wheel (Debian: apt-get install python3-venv)")


def _program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
