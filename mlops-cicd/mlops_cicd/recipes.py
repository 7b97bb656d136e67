"""Which image each purpose of a project runs with: AWS's own, or one that is built from a Dockerfile or for dependencies.

A built image's tag is made of what goes into it, so that the same content is never built twice and a tag never
changes its meaning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlops_cicd import images
from mlops_cicd.config import ModelConfig
from mlops_cicd.dockerfiles import DEPENDENCIES, Allowed, Finding, generated, lint, lint_requirements, parents, sources
from mlops_cicd.errors import CicdError
from mlops_cicd.project import PURPOSES, Project

# Part of every tag: raise it when images have to be built anew although their content is the same.
BUILDER_VERSION = 1
FOLDERS = {"preprocessing": "preprocess", "training": "train", "inference": "inference"}
DOCKERFILE = "Dockerfile"
_IGNORED = frozenset(["__pycache__", ".ipynb_checkpoints"])


class RecipeError(CicdError):
    """A Dockerfile or a requirement file holds what can't be built."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(str(each) for each in findings))
        self.findings = findings


@dataclass(frozen=True)
class Recipe:
    """What an image is built from: its base, its Dockerfile, and the files that the Dockerfile copies, by their place."""

    purpose: str
    base: str
    repository: str
    dockerfile: str
    files: Mapping[str, bytes]

    @property
    def tag(self) -> str:
        """The image's tag in the project's repository."""
        content = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(self.files.items())}
        text = json.dumps([BUILDER_VERSION, self.base, self.dockerfile, content])
        return f"content-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def uri(self) -> str:
        """The image with its tag."""
        return f"{self.repository}:{self.tag}"

    @property
    def hosts(self) -> list[str]:
        """The registries that the build reads from and writes to."""
        images = [*parents(self.dockerfile, self.base), self.repository]
        return list(dict.fromkeys(image.partition("/")[0] for image in images))


def base_image(config: ModelConfig, project: Project, purpose: str) -> str:
    """Return AWS's own image of a purpose. Raises ImageError. Models are served by the image that trained them."""
    if purpose == "preprocessing":
        section, instance_type = config.preprocess_config, config.preprocess_config.instance_type
        return images.image_uri(section.framework, section.framework_version, project.region, instance_type)
    train = config.train_config
    instance_type = train.instance_type if purpose == "training" else config.inference_config.inference_instances[0]
    return images.image_uri(train.framework, train.framework_version, project.region, instance_type)


def recipe(config: ModelConfig, project: Project, folder: Path, purpose: str) -> Recipe | None:
    """Return how a purpose's image is built, and None where AWS's own serves. Raises RecipeError with all findings."""
    made = _Kitchen(config, project, folder, purpose)
    findings = sorted(set(made.findings()), key=lambda each: (each.file, each.line, each.what))
    if findings:
        raise RecipeError(findings)
    return made.recipe()


def recipes(config: ModelConfig, project: Project, folder: Path) -> dict[str, Recipe | None]:
    """Return the recipes of all purposes. Raises RecipeError with the findings of all."""
    found: dict[str, Recipe | None] = {}
    findings: list[Finding] = []
    for purpose in PURPOSES:
        try:
            found[purpose] = recipe(config, project, folder, purpose)
        except RecipeError as error:
            findings += [each for each in error.findings if each not in findings]
    if findings:
        raise RecipeError(findings)
    return found


def dependencies_of(config: ModelConfig, purpose: str) -> str | None:
    """Return the requirement file that a purpose names."""
    return {
        "preprocessing": config.preprocess_config.dependencies,
        "training": config.train_config.dependencies,
        "inference": config.inference_config.dependencies,
    }[purpose]


class _Kitchen:
    """One purpose of one project: what its files say."""

    def __init__(self, config: ModelConfig, project: Project, folder: Path, purpose: str) -> None:
        self.purpose, self.folder = purpose, folder
        self.base = base_image(config, project, purpose)
        self.repository = project.image_repositories[purpose]
        self.dependencies = dependencies_of(config, purpose)
        self.context = folder / FOLDERS[purpose]
        self.name = f"{FOLDERS[purpose]}/{DOCKERFILE}"
        self.allowed = allowed(project)
        self.unreadable: list[Finding] = []
        self.text = self._text(self.name)
        self.requirements = None if self.dependencies is None else self._text(self.dependencies)

    def recipe(self) -> Recipe | None:
        if self.text is None and self.requirements is None:
            return None
        files = dict(self._files())
        if self.requirements is not None:
            files[self._requirements_name()] = self.requirements.encode()
        dockerfile = generated(self.base) if self.text is None else self.text
        return Recipe(self.purpose, self.base, self.repository, dockerfile, files)

    def findings(self) -> Iterator[Finding]:
        yield from self.unreadable
        if self.dependencies is not None and self.requirements is not None:
            yield from lint_requirements(self.dependencies, self.requirements)
        if self.text is None:
            return
        yield from lint(self.name, self.text, self.allowed, self.base)
        for line, source in sources(self.text):
            yield from self._source(line, source)
        copied = {source for _, source in sources(self.text)}
        if self.requirements is not None and self._requirements_name() not in copied:
            yield Finding(
                self.name,
                1,
                f"it does not copy {self._requirements_name()}, which `dependencies` names",
                f"Write COPY {self._requirements_name()} ... and install from it, or take the Dockerfile away.",
            )

    def _text(self, name: str) -> str | None:
        path = self.folder / name
        if not path.is_file():
            if name == self.dependencies:
                self.unreadable.append(
                    Finding(name, 1, "there is no such file", "Add it, or take `dependencies` away.")
                )
            return None
        if not path.resolve().is_relative_to(self.folder.resolve()):
            self.unreadable.append(Finding(name, 1, "it is a link out of the repository", "Put the file itself there."))
            return None
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            self.unreadable.append(Finding(name, 1, "it is no UTF-8 text", "Save it as UTF-8."))
            return None

    def _requirements_name(self) -> str:
        # A Dockerfile that is written here, and one of the project's, find the file under its last name.
        return DEPENDENCIES if self.text is None else PurePosixPath(self.dependencies or "").name

    def _source(self, line: int, source: str) -> Iterator[Finding]:
        parts = PurePosixPath(source.lstrip("/")).parts
        if not parts or parts in (("*",), ("**",)):
            yield Finding(self.name, line, f"it copies the whole folder ({source})", (
                "Name what the image needs: the job's own code travels with the job."))  # fmt: skip
        elif ".." in parts:
            yield Finding(
                self.name, line, f"{source} is outside of {FOLDERS[self.purpose]}/", "Put the file into that folder."
            )
        elif source.lstrip("/") == self._requirements_name() and self.requirements is not None:
            return
        elif not (found := self._found(source)):
            yield Finding(
                self.name, line, f"{FOLDERS[self.purpose]}/{source} is not there", "Add it, or take the line away."
            )
        else:
            root = self.context.resolve()
            for path in found:
                if not path.resolve().is_relative_to(root):
                    yield Finding(self.name, line, f"{source} is a link out of {FOLDERS[self.purpose]}/", (
                        "Put the file itself there."))  # fmt: skip

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for _, source in sources(self.text or ""):
            for path in self._found(source):
                yield path.relative_to(self.context).as_posix(), path.read_bytes()

    def _found(self, source: str) -> list[Path]:
        pattern = source.lstrip("/").removeprefix("./").rstrip("/")
        found = []
        for path in sorted(self.context.glob(pattern)):
            found += [path] if path.is_file() else [each for each in sorted(path.rglob("*")) if each.is_file()]
        return [each for each in found if not _IGNORED.intersection(each.relative_to(self.context).parts)]


def allowed(project: Project) -> Allowed:
    """Return where images of a project may come from: AWS's registries of the frameworks in the region, and its own."""
    hosts = set()
    for framework in images.FRAMEWORKS:
        for version in images.supported(framework):
            try:
                hosts.add(images.image_uri(framework, version, project.region).partition("/")[0])
            except images.ImageError:
                continue
    return Allowed(frozenset(hosts), frozenset(project.image_repositories.values()))
