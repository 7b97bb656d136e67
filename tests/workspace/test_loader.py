"""The workspace loader, run in a home of its own with stand-ins for the AWS CLI: it never keeps a space from starting."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from generators.kit.publishing import ROOT

LOADER = ROOT / "workspace" / "loader.sh"
ROLE = "arn:aws:iam::111111111111:role/mlops/churn/churn-role"
START = '#!/bin/bash\necho "started for $1"\n'
# Stands in for the AWS CLI: answers what SSM and S3 would, from two files.
AWS = """#!/bin/bash
echo "$@" >>"{home}/calls"
case "$1" in
ssm) [ -f "{home}/parameter" ] && cat "{home}/parameter" ;;
s3) cp "{home}/published.sh" "${{@: -1}}" ;;
esac
"""


class Space:
    """One space: its home, and what the loader logged."""

    def __init__(self, home: Path) -> None:
        self.home = home
        tools = home / "bin"
        tools.mkdir()
        (tools / "aws").write_text(AWS.format(home=home))
        (tools / "aws").chmod(0o755)
        self.publish(START)

    def publish(self, script: str, promised: str | None = None) -> None:
        (self.home / "published.sh").write_text(script)
        mark = hashlib.sha256((promised or script).encode()).hexdigest()
        (self.home / "parameter").write_text(f"{mark} s3://bucket/workspace/churn/start.sh\n")

    def start(self, role: str = ROLE) -> int:
        environment = {
            "HOME": str(self.home),
            "PATH": f"{self.home}/bin:/usr/bin:/bin",
            "MLOPS_EXECUTION_ROLE_ARN": role,
        }
        return subprocess.run(["bash", str(LOADER)], env=environment, capture_output=True, timeout=30).returncode

    def log(self, until: str) -> str:
        """Give the log once it holds a text; the loader works in the background."""
        path = self.home / ".mlops" / "start.log"
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if path.is_file() and until in path.read_text():
                return path.read_text()
            time.sleep(0.05)
        raise AssertionError(f"'{until}' is not in the log:\n{path.read_text() if path.is_file() else 'no log'}")


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return Space(tmp_path)


def test_it_runs_what_the_project_published(space: Space) -> None:
    assert space.start() == 0
    assert "running the start script of project churn" in space.log("started for churn")
    assert "--name /mlops/projects/churn/start-script" in (space.home / "calls").read_text()


def test_it_does_not_run_what_was_changed_on_the_way(space: Space) -> None:
    space.publish("#!/bin/bash\necho stolen\n", promised=START)
    assert space.start() == 0
    assert "stolen" not in space.log("is not what was published")
    assert not (space.home / ".mlops" / "start.sh").exists()


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("arn:aws:iam::111111111111:role/mlops/platform/StudioAdmin", "a space of the platform itself"),
        ("arn:aws:iam::111111111111:role/somebody", "belongs to no project"),
        ("arn:aws:iam::111111111111:role/mlops/$(touch owned)/x", "belongs to no project"),
        ("arn:aws:iam::111111111111:role/mlops/../../infra/x", "belongs to no project"),
    ],
)
def test_it_asks_nothing_for_a_role_that_is_of_no_project(space: Space, role: str, said: str) -> None:
    assert space.start(role) == 0
    space.log(said)
    assert not (space.home / "calls").exists()


def test_a_space_starts_without_a_published_script(space: Space) -> None:
    (space.home / "parameter").unlink()
    assert space.start() == 0
    space.log("has no start script")


def test_a_start_script_that_fails_is_said(space: Space) -> None:
    space.publish("exit 7\n")
    assert space.start() == 0
    space.log("the start script ended with 7")


def test_it_returns_at_once_however_long_the_project_takes(space: Space) -> None:
    space.publish("sleep 5\n")
    began = time.monotonic()
    assert space.start() == 0
    assert time.monotonic() - began < 4


def test_it_fits_a_lifecycle_configuration() -> None:
    # 16,384 characters of base64: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateStudioLifecycleConfig.html
    assert len(LOADER.read_bytes()) * 4 / 3 < 16_384


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed; CI installs it")
def test_shellcheck_finds_nothing() -> None:
    scripts = [
        *(str(path) for path in sorted((ROOT / "workspace").glob("*.sh"))),
        str(ROOT / "inv"),
        str(ROOT / ".ci" / "run"),
    ]
    found = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
