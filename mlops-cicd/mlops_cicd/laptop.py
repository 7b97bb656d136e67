"""Run a project's pipeline on this machine: the definition that the build pipeline would make, executed step by step.

Run by a data scientist, from a checkout of the project: `./inv local` in the library, `inv local` in a space of Studio. Nothing
of AWS is called: a folder stands for S3 and for the model registry."""

from __future__ import annotations

import argparse
import contextlib
import filecmp
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from mlops_cicd import config as configuration
from mlops_cicd import content, images, recipes, telling
from mlops_cicd.definition import Code, Images, build, render
from mlops_cicd.errors import CicdError
from mlops_cicd.local import FolderRegistry, FolderStore, Image, Place, run
from mlops_cicd.project import INFERENCE_TYPES, PROBLEM_TYPES, PURPOSES, Project

STEPS = Path(__file__).resolve().parent.parent / "steps"
SAMPLE = "sample"
# What stands for the project where there is none: the account is nobody's.
REGION, ACCOUNT, ID = "us-east-1", "000000000000", "p-local"
LONGEST_SECONDS = 86400
STOPPED = 130  # what a shell gives for Ctrl-C


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
    cache: Path
    python: Path
    mode: Any
    definition: Path | None
    parameters: Mapping[str, str]
    max_runtime: int
    migrates: bool


def main(words: Sequence[str] | None = None, called: str = "inv local") -> int:
    """Run what the command line asks for; 0 when a model was registered (or the definition succeeded), 130 when it was stopped
    by Ctrl-C, a closed terminal or a signal, else 1."""
    try:
        with _stoppable():
            asked = _asked(words, called)
            if asked.migrates:
                return _migrated(asked.folder / "model_config.yaml")
            return _hand_written(asked) if asked.definition else _project(asked)
    except CicdError as error:
        print(f"{called}: {error}", file=sys.stderr)
    except BrokenPipeError:  # the reader, `head` for one, has seen enough; what is still buffered must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(
            f"{called}: {where}{error.strerror or error}. Mend or free that place, and run this again.", file=sys.stderr
        )
    except KeyboardInterrupt:
        print(f"\n{called}: stopped. Run the same command again.", file=sys.stderr)
        return STOPPED
    return 1


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Take a closed terminal and a polite kill for Ctrl-C, or the job under way would outlive this process, and take it once: what
    is stopping must not be interrupted."""
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if _ours(number)]

    def stop(*_: object) -> NoReturn:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    former = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _ours(number: signal.Signals) -> bool:
    """Say whether a signal may be taken: `nohup` has it ignored, and only the main thread can set handlers."""
    return threading.current_thread() is threading.main_thread() and signal.getsignal(number) is not signal.SIG_IGN


class _Words(argparse.ArgumentParser):
    """A command line whose faults are told in one line: `./inv` has options of its own, which the usage would not show."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. See `{self.prog} --help`.\n")


def _seconds(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 1 to {LONGEST_SECONDS}")
    return int(text)


def _asked(words: Sequence[str] | None, called: str) -> Asked:
    parser = _Words(prog=called, description="Run a project's pipeline on this machine.")
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
    parser.add_argument("--max-runtime", type=_seconds, default=LONGEST_SECONDS, metavar="SECONDS",
                        help="that a job of the project's pipeline may take; default: a day")  # fmt: skip
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="interpreter of the jobs")
    parser.add_argument("--cache", type=Path,
                        help="where installed dependencies and compiled code are kept; default: beside the runs")  # fmt: skip
    parser.add_argument("--migrate", action="store_true",
                        help="run nothing: rewrite model_config.yaml to its newest version, comments kept")  # fmt: skip
    given = parser.parse_args(words)
    project = given.project.resolve()
    own = _own_facts()
    wrong = [text for text in given.parameter if "=" not in text]
    if wrong:
        raise LaptopError(f"--parameter {wrong[0]!r} is no NAME=VALUE. Write it so.")
    if given.definition and given.data:
        raise LaptopError("A definition names its data itself. Leave --data out, and put them where its S3 is here.")
    return Asked(
        folder=project,
        problem_type=given.problem or own.get("problem_type") or PROBLEM_TYPES[0],
        inference_type=given.inference or own.get("inference_type") or INFERENCE_TYPES[0],
        data=given.data.resolve() if given.data else None,
        cache=(given.cache or (given.folder or project / "build" / "local") / "cache").resolve(),
        output=(given.folder or project / "build" / "local").resolve(),
        python=given.python.absolute(),
        mode=given.mode,
        definition=given.definition,
        parameters=dict(text.split("=", 1) for text in given.parameter),
        max_runtime=given.max_runtime,
        migrates=given.migrate,
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


def _migrated(path: Path) -> int:
    """Rewrite a configuration file to the newest version, and say what changed."""
    text, changes = configuration.migrate(path.read_bytes().decode("utf-8"))
    if changes:
        half = path.with_name(f".{path.name}.new")
        half.write_bytes(text.encode("utf-8"))
        half.replace(path)
    print("\n".join(changes) if changes else f"{path.name} is of the newest version; nothing is changed.")
    return 0


def _project(asked: Asked) -> int:
    """Build the project's own definition and run it."""
    path = asked.folder / "model_config.yaml"
    if not path.is_file():
        raise LaptopError(f"There is no {path}. Go into a checkout of a project, or name one with --project.")
    config = configuration.load(path)
    configuration.check_project(config, asked.folder, asked.problem_type, asked.inference_type)
    project = local_project(asked.folder, asked.problem_type, asked.inference_type, asked.max_runtime)
    store = FolderStore(asked.output / "s3")
    print(f"{project.name} on this machine: {asked.problem_type}, {asked.inference_type}", flush=True)
    known: dict[str, Image] = {}
    made = recipes.recipes(config, project, asked.folder)
    uris = Images(**{purpose: _image(config, asked.folder, project, made, purpose, known) for purpose in PURPOSES})
    _data(config.data_config.inputs.data, asked, project, store)
    folders = {name: asked.folder / name for name in ("preprocess", "train", "inference")} | {"steps": STEPS}
    place, put = f"s3://{project.bucket}/build/code/", partial(_put, store)
    code = Code(**{name: content.upload(folder, place, put) for name, folder in folders.items()})
    definition = build(config, project, code, uris, _commit(asked.folder))
    return _run(definition, asked, project, store, lambda uri: known.get(uri, Image()))


def _hand_written(asked: Asked) -> int:
    """Run a definition from a file: whoever wrote it, its buckets are folders below the output folder."""
    assert asked.definition is not None
    try:
        definition = json.loads(asked.definition.read_text(encoding="utf-8"))
    except OSError as error:
        raise LaptopError(f"{asked.definition} can't be read: {error.strerror}. Give a pipeline definition.") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise LaptopError(f"{asked.definition} can't be read as JSON ({error}). Give a pipeline definition.") from error
    if not isinstance(definition, dict):
        raise LaptopError(
            f"{asked.definition} holds no JSON object. Give a pipeline definition, with Version and Steps."
        )
    project = local_project(asked.folder, asked.problem_type, asked.inference_type)
    store = FolderStore(asked.output / "s3")
    print(f"{asked.definition.name} on this machine; S3 is {asked.output / 's3'}", flush=True)
    return _run(definition, asked, project, store, lambda uri: Image())


def _put(store: FolderStore, uri: str, data: bytes) -> bool:
    """Write an object, whole or not at all: what is there under the name of its content is not written again."""
    path = store.path(uri)
    if path.is_file():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)
    return True


def _run(
    definition: Mapping[str, Any],
    asked: Asked,
    project: Project,
    store: FolderStore,
    image_of: Callable[[str], Image],
) -> int:
    """Run a definition, tell how it goes and what came of it, and give the exit code."""
    place = Place(
        folder=asked.output / "runs",
        store=store,
        registry=FolderRegistry(asked.output / "registry", project.region, project.account_id, project.partition),
        python=asked.python,
        image_of=image_of,
        cache=asked.cache,
        mode=asked.mode,
    )
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "definition.json").write_text(render(dict(definition)), encoding="utf-8")
    reasons: dict[str, str] = {}

    def on_step(name: str, kind: str, status: str, seconds: float, detail: str) -> None:
        reasons[name] = detail
        telling.step(name, status, seconds, detail)

    execution = run(definition, place, project, parameters=dict(asked.parameters), on_step=on_step, say=telling.say)
    telling.result(execution, project, store, reasons)
    return {"Succeeded": 0, "Stopped": STOPPED}.get(execution.status, 1)


def local_project(folder: Path, problem_type: str, inference_type: str, max_runtime: int = LONGEST_SECONDS) -> Project:
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
            "max_runtime_seconds": str(max_runtime),
            "cost_center": "local",
        }
    )


def _image(
    config: configuration.ModelConfig,
    folder: Path,
    project: Project,
    made: Mapping[str, recipes.Recipe | None],
    purpose: str,
    known: dict[str, Image],
) -> str:
    """Name the image of a purpose as the cloud would, and note what it holds."""
    recipe = made[purpose]
    uri = recipe.uri if recipe else recipes.base_image(config, project, purpose)
    section = config.preprocess_config if purpose == "preprocessing" else config.train_config
    named = recipes.dependencies_of(config, purpose)
    dockerfile = Path(recipes.FOLDERS[purpose], recipes.DOCKERFILE)
    if (folder / dockerfile).is_file():
        telling.say(
            f"not played: {dockerfile} is not built here. Its jobs run with what AWS's image holds, and what the file "
            "that `dependencies` names lists: let it install from that."
        )
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
    if _same(folder, target):  # another run may be reading them
        return
    shutil.rmtree(target, ignore_errors=True)  # what an earlier run had is not what this one is asked for
    store.upload(folder, uri)


def _same(one: Path, other: Path) -> bool:
    """Say whether two folders hold the same files."""
    names = [{path.relative_to(top) for path in top.rglob("*") if path.is_file()} for top in (one, other)]
    return names[0] == names[1] and all(filecmp.cmp(one / name, other / name, shallow=False) for name in names[0])


def _commit(folder: Path) -> str:
    """Name what is run: the commit, and that it has changes where it has."""
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        said = [
            subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False, env=quiet)
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "."])
        ]
    except OSError:  # no git on this machine
        return "uncommitted"
    if said[0].returncode != 0:
        return "uncommitted"
    return said[0].stdout.strip() + ("-changed" if said[1].stdout.strip() else "")
