"""Run a project's pipeline on this machine: the definition that the build pipeline would make, executed step by step.

Run by a data scientist, from a checkout of the project: `./inv local` in the library, `inv local` in a space of Studio. Nothing
of AWS is called: a folder stands for S3 and for the model registry."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlops_cicd import config as configuration
from mlops_cicd import content, images, recipes
from mlops_cicd.definition import Code, Images, build, render
from mlops_cicd.errors import CicdError
from mlops_cicd.local import Execution, FolderRegistry, FolderStore, Image, Place, run
from mlops_cicd.project import INFERENCE_TYPES, PROBLEM_TYPES, PURPOSES, Project

STEPS = Path(__file__).resolve().parent.parent / "steps"
SAMPLE = "sample"
# What stands for the project where there is none: the account is nobody's.
REGION, ACCOUNT, ID = "us-east-1", "000000000000", "p-local"


class LaptopError(CicdError):
    """The pipeline can't be run here as asked."""


@dataclass(frozen=True)
class Asked:
    """What was asked for. `data` stands for the prefix that the configuration names."""

    folder: Path
    problem_type: str
    inference_type: str
    data: Path | None
    output: Path
    python: Path
    mode: Any
    definition: Path | None
    parameters: Mapping[str, str]


def main(words: Sequence[str] | None = None, called: str = "inv local") -> int:
    """Run what the command line asks for; 0 when a model was registered (or the definition succeeded), else 1."""
    try:
        asked = _asked(words, called)
        return _hand_written(asked) if asked.definition else _project(asked)
    except CicdError as error:
        print(f"{called}: {error}", file=sys.stderr)
        return 1


def _asked(words: Sequence[str] | None, called: str) -> Asked:
    parser = argparse.ArgumentParser(prog=called, description="Run a project's pipeline on this machine.")
    parser.add_argument("--project", type=Path, default=Path(), help="checkout of the project; default: this folder")
    parser.add_argument(
        "--problem", choices=PROBLEM_TYPES, help="default: the project's own, else binary_classification"
    )
    parser.add_argument("--inference", choices=INFERENCE_TYPES, help="default: the project's own, else realtime")
    parser.add_argument("--data", type=Path, help="folder with the data; default: the checkout's own folder of the name that "
                        "data_config.inputs.data gives")  # fmt: skip
    parser.add_argument(
        "--folder", type=Path, help="where runs, models and reports go; default: build/local in the checkout"
    )
    parser.add_argument(
        "--definition", type=Path, help="run this pipeline definition (JSON) in place of the project's own"
    )
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="of the definition; may be repeated"
    )
    parser.add_argument("--mode", choices=("auto", "namespaces", "mapped"), default="auto",
                        help="how jobs are kept apart; default: as well as this machine can")  # fmt: skip
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="interpreter of the jobs")
    given = parser.parse_args(words)
    project = given.project.resolve()
    own = _own_facts()
    wrong = [text for text in given.parameter if "=" not in text]
    if wrong:
        raise LaptopError(f"--parameter {wrong[0]!r} is no NAME=VALUE. Write it so.")
    return Asked(
        folder=project,
        problem_type=given.problem or own.get("problem_type") or PROBLEM_TYPES[0],
        inference_type=given.inference or own.get("inference_type") or INFERENCE_TYPES[0],
        data=given.data.resolve() if given.data else None,
        output=(given.folder or project / "build" / "local").resolve(),
        python=given.python.absolute(),
        mode=given.mode,
        definition=given.definition,
        parameters=dict(text.split("=", 1) for text in given.parameter),
    )


def _own_facts() -> dict[str, str]:
    """Read what a space of Studio knows of its project; elsewhere there is nothing."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = Path.home() / ".project_params.yaml"
    try:
        found = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, YAMLError, UnicodeDecodeError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _project(asked: Asked) -> int:
    """Build the project's own definition and run it."""
    path = asked.folder / "model_config.yaml"
    if not path.is_file():
        raise LaptopError(f"There is no {path}. Go into a checkout of a project, or name one with --project.")
    config = configuration.load(path)
    configuration.check_project(config, asked.folder, asked.problem_type, asked.inference_type)
    project = local_project(asked.folder, asked.problem_type, asked.inference_type)
    store = FolderStore(asked.output / "s3")
    known: dict[str, Image] = {}
    uris = Images(**{purpose: _image(config, asked.folder, project, purpose, known) for purpose in PURPOSES})
    _data(config.data_config.inputs.data, asked, project, store)
    folders = {name: asked.folder / name for name in ("preprocess", "train", "inference")} | {"steps": STEPS}
    place, put = f"s3://{project.bucket}/build/code/", partial(_put, store)
    code = Code(**{name: content.upload(folder, place, put) for name, folder in folders.items()})
    definition = build(config, project, code, uris, _commit(asked.folder))
    print(f"{project.name} on this machine: {asked.problem_type}, {asked.inference_type}", flush=True)
    execution = _run(definition, asked, project, store, lambda uri: known.get(uri, Image()))
    _tell(execution, project, store)
    return 0 if execution.status == "Succeeded" else 1


def _hand_written(asked: Asked) -> int:
    """Run a definition from a file: whoever wrote it, its buckets are folders below the output folder."""
    assert asked.definition is not None
    try:
        definition = json.loads(asked.definition.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise LaptopError(f"{asked.definition} can't be read as JSON ({error}). Give a pipeline definition.") from error
    project = local_project(asked.folder, asked.problem_type, asked.inference_type)
    store = FolderStore(asked.output / "s3")
    print(f"{asked.definition.name} on this machine; S3 is {asked.output / 's3'}", flush=True)
    execution = _run(definition, asked, project, store, lambda uri: Image())
    _tell(execution, project, store)
    return 0 if execution.status == "Succeeded" else 1


def _put(store: FolderStore, uri: str, data: bytes) -> bool:
    path = store.path(uri)
    if path.is_file():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return True


def _run(
    definition: Mapping[str, Any],
    asked: Asked,
    project: Project,
    store: FolderStore,
    image_of: Callable[[str], Image],
) -> Execution:
    place = Place(
        folder=asked.output / "runs",
        store=store,
        registry=FolderRegistry(asked.output / "registry", project.region, project.account_id, project.partition),
        python=asked.python,
        image_of=image_of,
        cache=asked.output / "cache",
        mode=asked.mode,
    )
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "definition.json").write_text(render(dict(definition)), encoding="utf-8")
    return run(definition, place, project, parameters=dict(asked.parameters), on_step=_line)


def _line(name: str, kind: str, status: str, seconds: float, detail: str) -> None:
    if status != "Executing" and status != "Starting":
        first = detail.partition("\n")[0]  # of a failure; all of it is told at the end
        print(f"  {name:12} {status:10} {seconds:6.1f} s  {first}".rstrip(), flush=True)


def local_project(folder: Path, problem_type: str, inference_type: str) -> Project:
    """Describe a project as its stack would, for a place where there is no stack. Its account is nobody's."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")[:32].strip("-")
    name = name if re.match(r"[a-z]", name) else "project"
    repository = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name}-{ID}"
    return Project.from_settings(
        {
            "project_name": name,
            "project_id": ID,
            "problem_type": problem_type,
            "inference_type": inference_type,
            "framework": "sklearn",
            "region": REGION,
            "account_id": ACCOUNT,
            "project_role_arn": f"arn:aws:iam::{ACCOUNT}:role/mlops/{name}/local",
            "project_kms": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/local",
            "project_bucket": f"{name}-{ID}",
            "private_subnets": "subnet-0",
            "sg_compute": "sg-0",
            "model_package_group": f"{name}-{ID}",
            **{f"{purpose}_image": f"{repository}-{purpose}" for purpose in PURPOSES},
            "tracking_arn": "none",
            "max_runtime_seconds": "86400",
            "cost_center": "local",
        }
    )


def _image(
    config: configuration.ModelConfig, folder: Path, project: Project, purpose: str, known: dict[str, Image]
) -> str:
    """Name the image of a purpose as the cloud would, and note what it holds."""
    recipe = recipes.recipe(config, project, folder, purpose)
    uri = recipe.uri if recipe else recipes.base_image(config, project, purpose)
    section = config.preprocess_config if purpose == "preprocessing" else config.train_config
    named = recipes.dependencies_of(config, purpose)
    dockerfile = Path(recipes.FOLDERS[purpose], recipes.DOCKERFILE)
    if (folder / dockerfile).is_file():
        print(f"not played: {dockerfile} is not built here; its jobs run with AWS's packages and `dependencies`.")
    known[uri] = Image(
        purpose=purpose if recipe else "",
        packages=images.packages(section.framework, section.framework_version),
        dependencies=folder / named if named else None,
    )
    return uri


def _data(named: str, asked: Asked, project: Project, store: FolderStore) -> None:
    """Bring the data to where the configuration says that they are."""
    if named == SAMPLE:
        if asked.data:
            raise LaptopError(
                "--data is given, but data_config.inputs.data says sample. Name a prefix there, such as data/."
            )
        return
    uri = named if named.startswith("s3://") else f"s3://{project.bucket}/{named}"
    folder = asked.data or asked.folder / named
    if named.startswith("s3://") and not asked.data:
        raise LaptopError(
            f"data_config.inputs.data is {named}, which is not on this machine. Give a copy with --data FOLDER."
        )
    if not folder.is_dir() or not any(path.is_file() for path in folder.rglob("*")):
        raise LaptopError(f"There are no data in {folder}. Put them there, or name their folder with --data.")
    target = asked.output / "s3" / uri.removeprefix("s3://").strip("/")
    shutil.rmtree(target, ignore_errors=True)  # what an earlier run had is not what this one is asked for
    store.upload(folder, uri)


def _commit(folder: Path) -> str:
    """Name what is run: the commit, and that it has changes where it has."""
    said = [
        subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False, env=_git_environment())
        for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "."])
    ]
    if said[0].returncode != 0:
        return "uncommitted"
    return said[0].stdout.strip() + ("-changed" if said[1].stdout.strip() else "")


def _git_environment() -> dict[str, str]:
    return {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}


def _tell(execution: Execution, project: Project, store: FolderStore) -> None:
    """Say what came of it and where it lies."""
    reports = [
        uri
        for uri in store.list(f"s3://{project.bucket}/pipelines/{execution.id}/")
        if uri.endswith("/evaluation.json")
    ]
    for uri in reports:
        measured = next(
            value for key, value in json.loads(store.path(uri).read_text()).items() if key.endswith("_metrics")
        )
        values = {
            name: found["value"] for name, found in measured.items() if isinstance(found, dict) and "value" in found
        }
        print("  " + ", ".join(f"{name} {value:.4f}" for name, value in values.items() if isinstance(value, float)))
    for step in execution.steps:
        if step.type == "RegisterModel" and step.status == "Succeeded":
            print(f"Registered {step.output['ModelPackageArn']} as PendingManualApproval.")
    if execution.status != "Succeeded":
        print(f"{execution.status}: {execution.failure or 'see the steps above.'}", file=sys.stderr)
    print(f"Logs and reports: {execution.folder}")
