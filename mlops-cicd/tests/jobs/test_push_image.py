"""The job push_image with a stand-in for docker that notes what it is asked, and with ECR and CodeArtifact answered by botocore's
model."""

from __future__ import annotations

import base64
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from jobs.push_image.job import main
from tests.jobs.aws import Refused, Service, clients
from tests.jobs.making import REGISTRY, environment, write_project

TOKEN, PASSWORD = "t0ken/+=", "ecr-passw0rd"
DIGEST = "sha256:" + "d" * 64
AWS_HOST = "492215442770.dkr.ecr.eu-central-1.amazonaws.com"
CHANGES = {"train_config.dependencies": "train/requirements.txt"}
FILES = {"train/requirements.txt": "shap==0.46\n"}
# Notes arguments, what it is signed in by, and the secret with its mode; fails where the test says.
DOCKER = r"""#!/usr/bin/env python3
import json, os, pathlib, stat, sys, time
home = pathlib.Path(__file__).parent
note = {"arguments": sys.argv[1:], "config": os.environ["DOCKER_CONFIG"], "buildkit": os.environ["DOCKER_BUILDKIT"]}
if "--password-stdin" in sys.argv:
    note["stdin"] = sys.stdin.read()
if sys.argv[1] == "build":
    secret = pathlib.Path(sys.argv[sys.argv.index("--secret") + 1].split("src=")[1])
    context = pathlib.Path(sys.argv[-1])
    note |= {"secret": str(secret), "pip": secret.read_text(), "mode": stat.S_IMODE(secret.stat().st_mode),
             "context": {str(p.relative_to(context)): p.read_text() for p in context.rglob("*") if p.is_file()}}
with (home / "notes").open("a") as notes:
    notes.write(json.dumps(note) + "\n")
plan = json.loads((home / "plan").read_text())
if sys.argv[1] == "push" and plan.get("push") == 0:
    (home / "pushed").write_text("yes")
if plan.get("hangs") == sys.argv[1]:
    time.sleep(60)
sys.exit(plan.get(sys.argv[1], 0))
"""


class World:
    """A project, a docker, and the registry that the docker pushes to."""

    def __init__(self, folder: Path, changes: dict[str, Any] | None, files: dict[str, str] | None) -> None:
        self.bin, self.project = folder / "bin", folder / "project"
        self.bin.mkdir()
        write_project(self.project, changes, files)
        docker = self.bin / "docker"
        docker.write_text(DOCKER)
        docker.chmod(0o755)
        self.plan(push=0)
        self.there = False
        self.ecr = Service("ecr", self.answer_ecr)
        self.codeartifact = Service("codeartifact", self.answer_codeartifact)

    def plan(self, **plan: Any) -> None:
        (self.bin / "plan").write_text(json.dumps(plan))

    def answer_ecr(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        if operation == "GetAuthorizationToken":
            token = base64.b64encode(f"AWS:{PASSWORD}".encode()).decode()
            return {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": f"https://{REGISTRY}"}]}
        assert operation == "DescribeImages"
        assert params["repositoryName"] == "churn-p-abc123-training"
        if not (self.there or (self.bin / "pushed").exists()):
            raise Refused("ImageNotFoundException")
        return {"imageDetails": [{"imageDigest": DIGEST}]}

    def answer_codeartifact(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        assert (params["domain"], params["domainOwner"]) == ("mlops", "111122223333")
        if operation == "GetAuthorizationToken":
            return {"authorizationToken": TOKEN}
        return {"repositoryEndpoint": "https://mlops-1.d.codeartifact.eu-central-1.amazonaws.com/pypi/pypi/"}

    def run(self, purpose: str = "training", **more: str) -> int:
        values = {**environment(self.project), "PURPOSE": purpose, **more}
        values["PATH"] = more.get("PATH", f"{self.bin}:/usr/bin:/bin:{Path(sys.executable).parent}")
        return main(values, clients(ecr=self.ecr, codeartifact=self.codeartifact))

    @property
    def notes(self) -> list[dict[str, Any]]:
        path = self.bin / "notes"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def asked(self, verb: str) -> list[dict[str, Any]]:
        return [note for note in self.notes if note["arguments"][0] == verb]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, CHANGES, FILES)


def test_nothing_is_built_where_awss_image_serves(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path, None, None)
    assert world.run() == 0
    assert "nothing to build. AWS's own image is used" in capfd.readouterr().out
    assert world.notes == []
    assert world.ecr.calls == []


def test_nothing_is_built_when_the_same_content_is_there(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.there = True
    assert world.run() == 0
    assert f"already there, nothing to build: {REGISTRY}/churn-p-abc123-training:content-" in capfd.readouterr().out
    assert world.notes == []


def test_an_image_is_built_and_pushed_with_its_digest(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run() == 0
    assert [note["arguments"][0] for note in world.notes] == ["login", "login", "build", "push"]
    assert [note["arguments"][-1] for note in world.asked("login")] == [AWS_HOST, REGISTRY]
    build = world.asked("build")[0]
    uri = build["arguments"][build["arguments"].index("--tag") + 1]
    assert world.asked("push")[0]["arguments"] == ["push", uri]
    assert build["context"]["requirements.txt"] == "shap==0.46\n"
    assert build["context"]["Dockerfile"].startswith(f"FROM {AWS_HOST}/")
    assert set(build["context"]) == {"Dockerfile", "requirements.txt"}
    assert build["buildkit"] == "1"
    assert f"pushed {REGISTRY}/churn-p-abc123-training@{DIGEST}" in capfd.readouterr().out
    assert world.run() == 0
    assert len(world.asked("build")) == 1


def test_secrets_are_for_docker_alone_and_gone_afterwards(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run() == 0
    build = world.asked("build")[0]
    assert build["pip"] == (
        "[global]\nindex-url = https://aws:t0ken%2F%2B%3D@mlops-1.d.codeartifact.eu-central-1.amazonaws.com/pypi/pypi/simple/\n"
    )
    assert build["mode"] == stat.S_IRUSR | stat.S_IWUSR
    assert {note["stdin"] for note in world.asked("login")} == {PASSWORD}
    assert not Path(build["secret"]).exists()
    assert not Path(build["config"]).exists()
    kept = json.dumps([note["arguments"] for note in world.notes]) + json.dumps(build["context"])
    printed = "".join(capfd.readouterr())
    for secret in (TOKEN, "t0ken", PASSWORD):
        assert secret not in kept
        assert secret not in printed


def test_secrets_are_gone_after_a_failure_too(world: World) -> None:
    world.plan(build=1)
    assert world.run() == 1
    assert not Path(world.asked("build")[0]["secret"]).exists()
    assert world.asked("push") == []


@pytest.mark.parametrize(
    ("plan", "code", "said"),
    [
        ({"build": 1}, 1, "The image of training did not build"),
        ({"login": 1}, 2, f"docker can't sign in at {AWS_HOST}"),
        ({"push": 1}, 2, "can't be pushed"),
    ],
)
def test_a_docker_that_fails_ends_the_job(
    world: World, capfd: pytest.CaptureFixture[str], plan: dict[str, int], code: int, said: str
) -> None:
    world.plan(**plan)
    assert world.run() == code
    assert said in capfd.readouterr().out


def test_a_build_that_hangs_is_stopped(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.plan(hangs="build")
    assert world.run(BUILD_SECONDS="1") == 1
    assert "was not built in time" in capfd.readouterr().out


def test_a_push_that_lost_a_race_is_a_success(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.plan(push=1)
    first = True

    def answer(operation: str, params: dict[str, Any]) -> dict[str, Any]:
        nonlocal first
        if operation == "DescribeImages" and first:
            first = False
            raise Refused("ImageNotFoundException")
        world.there = True
        return world.answer_ecr(operation, params)

    world.ecr.handler = answer
    assert world.run() == 0
    assert "another build has pushed the same content meanwhile" in capfd.readouterr().out


def test_a_push_that_left_nothing_behind_is_no_success(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.plan(push=0, build=0)
    (world.bin / "docker").write_text(DOCKER.replace('.write_text("yes")', ".name"))
    assert world.run() == 2
    assert "is not in the registry" in capfd.readouterr().out


def test_without_docker_without_index_and_with_a_foreign_purpose(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run(PATH="/nowhere") == 2
    assert "There is no docker" in capfd.readouterr().out
    assert world.run(PYPI_DOMAIN="none") == 2
    assert "the platform has no package index" in capfd.readouterr().out
    assert world.run("serving") == 2
    assert "PURPOSE is 'serving'" in capfd.readouterr().out
    assert world.notes == []


def test_an_own_dockerfile_without_index_tells_pip_that_there_is_none(tmp_path: Path) -> None:
    text = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN mkdir /opt/words\n"
    world = World(tmp_path, None, {"train/Dockerfile": text})
    assert world.run(PYPI_DOMAIN="none") == 0
    build = world.asked("build")[0]
    assert build["pip"] == "[global]\nno-index = true\n"
    assert build["context"] == {"Dockerfile": text}
    assert f"BASE_IMAGE={AWS_HOST}/sagemaker-scikit-learn:1.4-2-py312-cpu-py3" in build["arguments"]


def test_a_dockerfile_with_findings_is_not_built(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path, None, {"train/Dockerfile": "FROM python:3.12\nRUN apt-get update\n"})
    assert world.run() == 1
    printed = capfd.readouterr().out
    assert "train/Dockerfile:1: the image python:3.12" in printed
    assert "train/Dockerfile:2: apt-get" in printed
    assert world.notes == []


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (Refused("RepositoryNotFoundException"), "The repository"),
        (Refused("AccessDeniedException", "User is not authorized"), "ecr:DescribeImages was denied"),
    ],
)
def test_a_registry_that_refuses_is_the_platforms_fault(
    world: World, capfd: pytest.CaptureFixture[str], refused: Refused, said: str
) -> None:
    def answer(operation: str, params: dict[str, Any]) -> dict[str, Any]:
        raise refused

    world.ecr.handler = answer
    assert world.run() == 2
    assert said in capfd.readouterr().out
