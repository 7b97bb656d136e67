"""Drive the docker command: sign in, build with a secret that no layer keeps, push."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlops_cicd import registry
from mlops_cicd.builds import Build, say
from mlops_cicd.clients import PlatformError
from mlops_cicd.dockerfiles import BASE, SECRET
from mlops_cicd.errors import CicdError
from mlops_cicd.recipes import Recipe

BUILD_SECONDS, PUSH_SECONDS, LOGIN_SECONDS = 3600, 1800, 60
# CodeArtifact's token lives a quarter of an hour at least.
# https://docs.aws.amazon.com/codeartifact/latest/APIReference/API_GetAuthorizationToken.html
TOKEN_SECONDS = BUILD_SECONDS


class BuildFailed(CicdError):
    """An image of the project did not build."""


def pip_configuration(build: Build, make_client: Callable[[str, str], Any]) -> str:
    """Return pip's configuration with a token for the package index; without an index, pip is told that there is none."""
    if build.pypi_domain is None or build.pypi_repository is None:
        return "[global]\nno-index = true\n"
    codeartifact = make_client("codeartifact", build.project.region)
    of_domain = {"domain": build.pypi_domain, "domainOwner": build.project.account_id}
    token = codeartifact.get_authorization_token(**of_domain, durationSeconds=TOKEN_SECONDS)["authorizationToken"]
    endpoint = codeartifact.get_repository_endpoint(**of_domain, repository=build.pypi_repository, format="pypi")
    scheme, _, rest = endpoint["repositoryEndpoint"].partition("://")
    return f"[global]\nindex-url = {scheme}://aws:{quote(token, safe='')}@{rest.rstrip('/')}/simple/\n"


def build_and_push(recipe: Recipe, ecr: Any, pip: str, environment: Mapping[str, str]) -> None:
    """Build an image and push it. Raises BuildFailed, or PlatformError when docker or a registry can't be used.

    All that is secret lies in one folder that only this user reads, and that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="push-image-") as folder:
        place = Path(folder)
        docker = _Docker(place / "docker", environment)
        secret = place / "pip.conf"
        _write_private(secret, pip)
        context = _context(place / "context", recipe)
        _sign_in(docker, recipe, ecr)
        built = docker.run(
            # type=docker: SageMaker refuses images whose manifest has OCI's type.
            ["build", "--platform", "linux/amd64", "--output", "type=docker", "--progress", "plain",
             "--secret", f"id={SECRET},src={secret}", "--build-arg", f"{BASE}={recipe.base}", "--file", str(context / "Dockerfile"),
             "--tag", recipe.uri, str(context)],
            int(environment.get("BUILD_SECONDS", BUILD_SECONDS)),
        )  # fmt: skip
        if built is None:
            raise BuildFailed(
                f"The image of {recipe.purpose} was not built in time and the build was stopped. Install less in it."
            )
        if built:
            raise BuildFailed(
                f"The image of {recipe.purpose} did not build; docker says above at which line. Mend the Dockerfile or"
                " the requirement file. An image is built without internet: only the package index and AWS's registries answer."
            )
        _push(docker, recipe, ecr)


def _push(docker: _Docker, recipe: Recipe, ecr: Any) -> None:
    if docker.run(["push", recipe.uri], PUSH_SECONDS) != 0:
        # Tags are immutable: of two builds of the same content, one comes second.
        if registry.digest(ecr, recipe.repository, recipe.tag) is None:
            raise PlatformError(
                f"{recipe.uri} can't be pushed; docker says above why. Retry the action; when it stays, have the data science admin"
                " check the rights of the image build."
            )
        say(f"{recipe.purpose}: another build has pushed the same content meanwhile.")


def _sign_in(docker: _Docker, recipe: Recipe, ecr: Any) -> None:
    # One token opens every registry that this role may use.
    # https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
    data = ecr.get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    for host in recipe.hosts:
        if docker.run(["login", "--username", user, "--password-stdin", host], LOGIN_SECONDS, password) != 0:
            raise PlatformError(
                f"docker can't sign in at {host}; it says above why. Have the full stack developer check the endpoints of ECR"
                " and the rights of the image build."
            )


def _context(place: Path, recipe: Recipe) -> Path:
    """Write the build's folder: the Dockerfile and what it copies, and nothing else of the project."""
    place.mkdir()
    for name, data in recipe.files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (place / "Dockerfile").write_text(recipe.dockerfile, encoding="utf-8")
    return place


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


@dataclass(frozen=True)
class _Docker:
    """The docker command of this machine, with a sign-in of its own."""

    configuration: Path
    environment: Mapping[str, str]

    def run(self, arguments: Sequence[str], seconds: int, stdin: str | None = None) -> int | None:
        """Run docker and return its exit code, and None when its time was up. What it prints goes to the log."""
        docker = shutil.which("docker", path=self.environment.get("PATH"))
        if docker is None:
            raise PlatformError(
                "There is no docker in this build. Have the data science admin update the project's stack: the image build runs in"
                " privileged mode, on an image that holds docker."
            )
        self.configuration.mkdir(mode=0o700, exist_ok=True)
        environment = {
            **self.environment,
            "DOCKER_CONFIG": str(self.configuration),
            "DOCKER_BUILDKIT": "1",
            # SageMaker does not start an image whose manifest is a list with attestations.
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        }
        given = subprocess.PIPE if stdin is not None else subprocess.DEVNULL
        with subprocess.Popen(
            [docker, *arguments], env=environment, stdin=given, text=True, start_new_session=True
        ) as process:
            try:
                process.communicate(stdin, timeout=seconds)
            except subprocess.TimeoutExpired:
                return None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
            return process.returncode
