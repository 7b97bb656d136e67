"""The command behind `inv local`, in an interpreter that lacks what it needs: installed once, whole or not at all, by the real
pip from an index of this disk."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path
from typing import Any

import local
import pytest

SCRIPT = Path(local.__file__)
RIGHT = {"boto3": "1.44.5", "dockerfile-parse": "2.0.1", "pydantic": "2.14.3", "ruamel.yaml": "0.19.1"}
MODULES = {
    "boto3": "boto3",
    "dockerfile-parse": "dockerfile_parse",
    "pydantic": "pydantic",
    "ruamel.yaml": "ruamel/yaml",
}
# Stands for the pipeline: tells what it was called with and what it found.
LAPTOP = """
import json, sys
import boto3, dockerfile_parse, pydantic, ruamel.yaml

def main(words, called):
    found = {module.__name__: (module.VERSION, module.__file__) for module in (boto3, dockerfile_parse, pydantic, ruamel.yaml)}
    print(json.dumps({"words": words, "called": called, "found": found}))
    return 7 if "--fail" in words else 0
"""
# Stands for pip: writes half of a package, then does what it is told.
HALF = """
import os, pathlib, sys, time
target = pathlib.Path(sys.argv[sys.argv.index("--target") + 1])
(target / "boto3").mkdir(parents=True)
(target / "boto3" / "__init__.py").write_text("raise SystemExit('half of boto3')")
pathlib.Path(os.environ["HALF"]).touch()
time.sleep(float(os.environ["HALF_SECONDS"]))
sys.exit("ERROR: the disk is full")
"""


def files(name: str, version: str) -> dict[str, str]:
    """Give the files of a package, as an installer lays them out."""
    info = f"{re.sub('[-.]', '_', name)}-{version}.dist-info"
    return {
        f"{MODULES[name]}/__init__.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }


def wheel(index: Path, name: str, version: str) -> str:
    """Put a wheel into an index, and give its line for a requirement file."""
    path = index / f"{re.sub('[-.]', '_', name)}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files(name, version).items():
            archive.writestr(zipfile.ZipInfo(inside), text)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Space:
    """A space with an interpreter of its own, an index, and what it fetched of the platform's jobs."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.python, self.home, self.index, self.jobs = python, folder / "home", folder / "index", folder / "cicd"
        self.held = folder / "held"  # what the space's image brings along
        for one in (self.home, self.index, self.held, self.jobs / "mlops_cicd"):
            one.mkdir(parents=True)
        shutil.copy(SCRIPT, self.jobs)
        (self.jobs / "mlops_cicd" / "laptop.py").write_text(LAPTOP)
        self.lock(RIGHT)

    def lock(self, versions: dict[str, str]) -> None:
        """Name the packages that the command is tested with, and have the index hold them."""
        lines = [wheel(self.index, name, version) for name, version in versions.items()]
        (self.jobs / "requirements.txt").write_text("".join(lines))

    def hold(self, versions: dict[str, str]) -> None:
        """Have the interpreter hold packages of its own."""
        for name, version in versions.items():
            for inside, text in files(name, version).items():
                path = self.held / inside
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start the command."""
        own = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(self.held)}
        index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index), "PIP_CONFIG_FILE": os.devnull}
        return subprocess.Popen(
            [self.python, str(self.jobs / "local.py"), *words],
            env={**own, **index, **environment},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **environment: str) -> tuple[int, str, str]:
        """Run the command; give its exit code and what it said."""
        started = self.start(*words, **environment)
        out, error = started.communicate(timeout=120)
        return started.returncode, out, error

    def half(self) -> Path:
        """Have a pip that never ends its work; give the file that tells how far it is."""
        (self.held / "pip").mkdir()
        (self.held / "pip" / "__init__.py").touch()
        (self.held / "pip" / "__main__.py").write_text(HALF)
        return self.home / "half"

    def made(self) -> list[str]:
        """Name what lies among the installed packages."""
        place = self.home / ".mlops" / "packages"
        return sorted(path.name for path in place.iterdir() if path.is_dir()) if place.is_dir() else []


def found(out: str) -> dict[str, Any]:
    """Give what the stand-in for the pipeline told on its last line."""
    told = json.loads(out.splitlines()[-1])
    assert isinstance(told, dict)
    return told


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an interpreter that holds pip alone."""
    folder = tmp_path_factory.mktemp("python")
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


@pytest.fixture
def space(tmp_path: Path, python: Path) -> Space:
    return Space(tmp_path, python)


def test_what_is_lacking_is_installed_once(space: Space) -> None:
    code, out, error = space.run("--problem", "regression")
    assert (code, error) == (0, "")
    assert out.startswith("Installing what inv local needs, once: boto3, dockerfile-parse, pydantic, ruamel.yaml\n")
    told = found(out)
    assert (told["words"], told["called"]) == (["--problem", "regression"], "inv local")
    (folder,) = space.made()
    place = space.home / ".mlops" / "packages" / folder
    for name, version in RIGHT.items():
        assert told["found"][MODULES[name].replace("/", ".")] == [version, str(place / MODULES[name] / "__init__.py")]
    shutil.rmtree(space.index)  # which is not asked again
    assert space.run("--fail")[:2] == (7, out.splitlines()[-1].replace('"--problem", "regression"', '"--fail"') + "\n")


def test_jobs_do_not_see_it(space: Space) -> None:
    # Their interpreter is this one: what they import must be what the space or the project gives them.
    (space.jobs / "mlops_cicd" / "laptop.py").write_text(
        "import subprocess, sys\nimport pydantic\n\n"
        "def main(words, called):\n    return subprocess.run([sys.executable, '-c', 'import pydantic']).returncode\n"
    )
    code, _, error = space.run()
    assert code == 1 and "No module named 'pydantic'" in error


def test_what_suffices_is_used_and_nothing_is_installed(space: Space) -> None:
    newer = {"boto3": "1.50.0", "dockerfile-parse": "2.0.1", "pydantic": "2.11.0", "ruamel.yaml": "0.18.5"}
    space.hold(newer)
    code, out, error = space.run(PIP_FIND_LINKS="/nowhere")
    assert (code, error) == (0, "")
    assert [version for version, _ in found(out)["found"].values()] == list(newer.values())
    assert not (space.home / ".mlops").exists()


@pytest.mark.parametrize("lacks", [{"pydantic": "1.10.13"}, {"boto3": "1.9.253"}, {"ruamel.yaml": ""}])
def test_what_does_not_suffice_is_outdone_with_all_that_goes_with_it(space: Space, lacks: dict[str, str]) -> None:
    space.hold({name: version for name, version in (RIGHT | {"pydantic": "2.12.0"} | lacks).items() if version})
    code, out, _ = space.run()
    assert code == 0
    assert out.startswith(f"Installing what inv local needs, once: {next(iter(lacks))}\n")
    assert [version for version, _ in found(out)["found"].values()] == list(RIGHT.values())


def test_a_package_that_is_not_the_one_meant_is_refused(space: Space) -> None:
    right = (space.jobs / "requirements.txt").read_text()
    (space.jobs / "requirements.txt").write_text(re.sub(r"(pydantic\S+ --hash=sha256:)\w+", rf"\g<1>{'0' * 64}", right))
    code, out, error = space.run()
    assert code == 1 and "{" not in out
    assert error.startswith("inv local: pip can't install what it needs:\n")
    assert "0" * 64 in error and "`bash ~/.mlops/start.sh PROJECT`, then run this again." in error
    assert space.made() == []
    (space.jobs / "requirements.txt").write_text(right)
    assert space.run()[0] == 0


def test_packages_that_nobody_vouches_for_are_refused(space: Space) -> None:
    lock = space.jobs / "requirements.txt"
    lock.write_text(re.sub(r" --hash=\S+", "", lock.read_text()))
    code, _, error = space.run()
    assert code == 1 and "hash" in error.lower()
    assert space.made() == []


def test_an_index_without_it_is_said(space: Space) -> None:
    code, _, error = space.run(PIP_FIND_LINKS=str(space.held))
    assert code == 1 and "No matching distribution found for boto3==1.44.5" in error and "Traceback" not in error
    assert "~/.mlops/start.log" in error
    assert space.made() == []


def test_an_interpreter_without_pip_is_said(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    space = Space(tmp_path, tmp_path / "bare" / "bin" / "python")
    code, _, error = space.run()
    assert code == 1 and "No module named pip" in error and "Traceback" not in error


def test_a_wish_to_install_for_oneself_does_not_matter(space: Space) -> None:
    assert space.run(PIP_USER="1")[0] == 0


def test_half_of_it_is_never_used(space: Space) -> None:
    half = space.half()
    code, _, error = space.run(HALF=str(half), HALF_SECONDS="0")
    assert code == 1 and half.exists() and "the disk is full" in error
    assert space.made() == []
    half.unlink()
    # A terminal that is closed meanwhile.
    started = space.start(HALF=str(half), HALF_SECONDS="3")
    deadline = time.monotonic() + 30
    while not half.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.send_signal(signal.SIGKILL)
    started.communicate()
    (left,) = space.made()
    assert left.startswith("part-")
    shutil.rmtree(space.held / "pip")
    code, out, _ = space.run()
    assert code == 0 and out.startswith("Installing")
    assert len(space.made()) == 1 and left not in space.made()


def test_two_terminals_install_it_once(space: Space) -> None:
    started = [space.start() for _ in range(2)]
    said = [one.communicate(timeout=120) for one in started]
    assert [one.returncode for one in started] == [0, 0], said
    assert "".join(out for out, _ in said).count("Installing") == 1
    assert len(space.made()) == 1


def test_other_packages_and_another_python_have_their_own_folder(space: Space) -> None:
    space.run()
    (first,) = space.made()
    assert first.endswith(f"-linux-{os.uname().machine}") and f"-{sys.implementation.cache_tag}-" in first
    space.lock(RIGHT | {"pydantic": "2.15.0"})
    code, out, _ = space.run()
    assert code == 0 and found(out)["found"]["pydantic"][0] == "2.15.0"
    (second,) = space.made()  # the first is of no more use
    assert second != first


def test_an_older_python_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 14))
    assert local.main([]) == 1
    assert capsys.readouterr().err.endswith("Use 3.11 or later.\n")


def test_the_lock_has_all_that_is_needed() -> None:
    locked = dict(re.findall(r"^([\w.-]+)==([\d.]+)", SCRIPT.with_name("requirements.txt").read_text(), re.MULTILINE))
    for name, oldest in local.NEEDED.items():
        version = locked[name.replace(".", "-")]
        assert tuple(int(number) for number in version.split(".")[:2]) >= oldest


@pytest.mark.parametrize(("words", "code", "said"), [(["--help"], 0, "usage: inv local"), ([], 1, "There is no")])
def test_it_is_the_pipeline_that_runs(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, str(SCRIPT), *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code and said in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []  # the interpreter of these tests has all that is needed
