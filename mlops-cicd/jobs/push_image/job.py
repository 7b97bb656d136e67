"""Build and push the image of PURPOSE, unless AWS's own serves or the same content is already there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlops_cicd import clients, recipes, registry
from mlops_cicd.builds import DONE, Build, exit_code, read, say
from mlops_cicd.clients import PlatformError
from mlops_cicd.project import PURPOSES

from jobs.push_image import docker

Clients = Callable[[str, str], Any]


def main(environment: Mapping[str, str], make_client: Clients = clients.client) -> int:
    """Run the job and return its exit code."""
    return exit_code(lambda: _push(read(environment), environment, make_client))


def _push(build: Build, environment: Mapping[str, str], make_client: Clients) -> int:
    purpose = environment.get("PURPOSE", "")
    if purpose not in PURPOSES:
        raise PlatformError(
            f"PURPOSE is {purpose!r}. Set it at the CodePipeline action to one of {', '.join(PURPOSES)}."
        )
    config, project = build.config(), build.project
    recipe = recipes.recipe(config, project, build.folder, purpose)
    if recipe is None:
        say(f"{purpose}: nothing to build. AWS's own image is used: {recipes.base_image(config, project, purpose)}")
        return DONE
    ecr = make_client("ecr", project.region)
    digest = registry.digest(ecr, recipe.repository, recipe.tag)
    if digest is not None:
        say(f"{purpose}: already there, nothing to build: {recipe.uri} ({digest})")
        return DONE
    if build.pypi_domain is None and recipes.dependencies_of(config, purpose):
        raise PlatformError(
            f"{purpose}: `dependencies` can't be installed, since the platform has no package index. Have the full stack developer"
            " switch CodeArtifact on in 1-infra, or take `dependencies` out of model_config.yaml."
        )
    say(f"{purpose}: building {recipe.uri} on {recipe.base}")
    pip = docker.pip_configuration(build, make_client)
    docker.build_and_push(recipe, ecr, pip, environment)
    digest = registry.digest(ecr, recipe.repository, recipe.tag)
    if digest is None:
        raise PlatformError(
            f"{purpose}: the push ended well, and {recipe.uri} is not in the registry. Retry the action; when it stays, show this"
            " line to the ML engineer."
        )
    say(f"{purpose}: pushed {recipe.repository}@{digest}")
    return DONE
