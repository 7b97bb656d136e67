"""Check what a push brought, cheapest first: the configuration, the Dockerfiles, the project's own unit tests."""

from __future__ import annotations

from collections.abc import Mapping

from mlops_cicd import recipes
from mlops_cicd.builds import DONE, Build, exit_code, read, say
from mlops_cicd.config import ModelConfig

from jobs.validate import unit_tests


def main(environment: Mapping[str, str]) -> int:
    """Run the job and return its exit code."""
    return exit_code(lambda: _validate(read(environment), environment))


def _validate(build: Build, environment: Mapping[str, str]) -> int:
    project = build.project
    config = build.config()
    say(f"model_config.yaml: right, for {project.problem_type} and {project.inference_type} inference.")
    _tell_framework(build, config)
    for purpose, recipe in recipes.recipes(config, project, build.folder).items():
        if recipe is None:
            say(f"{purpose}: AWS's own image {recipes.base_image(config, project, purpose)}.")
        else:
            say(f"{purpose}: an image of the project's own, {recipe.tag}, on {recipe.base}.")
    unit_tests.check(config, build.folder, environment)
    return DONE


def _tell_framework(build: Build, config: ModelConfig) -> None:
    chosen, began = config.train_config.framework, build.project.framework
    if chosen != began:
        say(
            f"train_config.framework: {chosen}, although the project began with {began}. Its seed code came for {began}."
        )
