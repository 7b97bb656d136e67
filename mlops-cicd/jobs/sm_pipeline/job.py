"""Build the SageMaker pipeline of a project from its configuration, start it for the commit, and follow it to its end.

A repeated job goes on where it was: the same pipeline execution of CodePipeline and the same commit are the same execution here."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from mlops_cicd import clients, content, recipes, registry
from mlops_cicd.builds import DONE, ROOT, Build, exit_code, read, say
from mlops_cicd.clients import code_of
from mlops_cicd.config import ModelConfig
from mlops_cicd.definition import Code, Images, build, render
from mlops_cicd.errors import CicdError

from jobs.sm_pipeline import data, following, pipeline

Clients = Callable[[str, str], Any]
# A new account may run one build at a time: what takes longer goes on by itself, and leaves the machine to other projects.
FOLLOW_SECONDS = 3600
_ACTIONS = {"preprocessing": "PushPreprocessing", "training": "PushTraining", "inference": "PushInference"}


class ImageMissing(CicdError):
    """An image that the configuration asks for was not pushed."""


def main(
    environment: Mapping[str, str],
    make_client: Clients = clients.client,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Run the job and return its exit code."""
    return exit_code(lambda: _run(read(environment), environment, make_client, clock, sleep))


def _run(
    own: Build,
    environment: Mapping[str, str],
    make_client: Clients,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> int:
    until = clock() + float(environment.get("FOLLOW_SECONDS", FOLLOW_SECONDS))
    config, project = own.config(), own.project
    s3, sagemaker = make_client("s3", project.region), make_client("sagemaker", project.region)
    images = images_of(own, config, partial(make_client, "ecr", project.region))
    say(data.look(s3, project.bucket, config.data_config))
    definition = build(config, project, _code(own, s3), images, own.commit)
    _keep(s3, project.bucket, render(definition))
    pipeline.bring(sagemaker, project, definition)
    execution = pipeline.start(sagemaker, project, own.execution_id, own.commit)
    ended = following.follow(sagemaker, execution, until, clock, sleep)
    if ended is None:
        say(f"Not at its end yet, and this job has to end. It goes on by itself: {execution}")
        say("Look at it in Studio under Pipelines; the model's version appears in the registry when it is done.")
        return DONE
    return following.report(sagemaker, s3, project, config, ended)


def images_of(own: Build, config: ModelConfig, ecr: Callable[[], Any]) -> Images:
    """Return the images of the three purposes, those of the project by digest. Raises ImageMissing that names all."""
    found, missing = {}, []
    for purpose, recipe in recipes.recipes(config, own.project, own.folder).items():
        if recipe is None:
            found[purpose] = recipes.base_image(config, own.project, purpose)
            continue
        digest = registry.digest(ecr(), recipe.repository, recipe.tag)
        if digest is None:
            missing.append(f"{recipe.uri} is not in the registry; the action {_ACTIONS[purpose]} builds it.")
        else:
            found[purpose] = f"{recipe.repository}@{digest}"
    if missing:
        raise ImageMissing("\n".join([*missing, "Look at the stage PushImages of this execution, and retry it."]))
    for purpose, image in found.items():
        say(f"Image for {purpose}: {image}")
    return Images(**found)


def _code(own: Build, s3: Any) -> Code:
    """Put the folders that jobs run where they read them from, and say where."""
    folders = {name: own.folder / name for name in recipes.FOLDERS.values()} | {"steps": ROOT / "steps"}
    found = {}
    for name, folder in folders.items():
        found[name] = content.upload(folder, f"s3://{own.project.bucket}/build/code/", partial(_put, s3))
        say(f"Code of {name}: {found[name]}")
    return Code(**found)


def _keep(s3: Any, bucket: str, text: str) -> None:
    """Keep each definition once, under its content."""
    place = f"s3://{bucket}/build/definitions/{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    _put(s3, place, text.encode())
    say(f"Definition: {place}")


def _put(s3: Any, uri: str, body: bytes) -> bool:
    """Put an object unless this very content is there, and say whether it was put. The bucket encrypts with the project's key
    by default.

    A project's unit tests run under the identity that writes here: a name is no proof of what lies under it, S3's checksum is."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
    try:
        there = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    except ClientError as error:
        if code_of(error) not in ("404", "NoSuchKey", "NotFound"):
            raise
        there = {}
    if there.get("ChecksumSHA256") == checksum:
        return False
    s3.put_object(Bucket=bucket, Key=key, Body=body, ChecksumSHA256=checksum)
    return True
