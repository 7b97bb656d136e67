"""Lint a project's Dockerfiles and requirement files for what can't work without internet, and write the Dockerfile for those who
only name dependencies.

An image is built inside the VPC: it reaches AWS's registries and the package index of the platform, and nothing else. The lint
says so before a build waits for a time-out. It is no lock; the network is."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped]

from mlops_cicd.shell import Command, as_list, commands, flags

# BuildKit's secret with pip's configuration: neither a layer nor the history of the image keeps it.
SECRET, SECRET_FILE = "pip_config", "/etc/pip.conf"
BASE = "BASE_IMAGE"
MOUNT = f"--mount=type=secret,id={SECRET},target={SECRET_FILE}"
DEPENDENCIES = "requirements.txt"

_GENERATED = """\
FROM {base}
COPY {dependencies} /opt/mlops/{dependencies}
RUN {mount} \\
    python3 -m pip install --no-cache-dir --disable-pip-version-check -r /opt/mlops/{dependencies}
"""

_NO_INTERNET = "An image is built in a network without internet."
# Commands that wait for a server that can't be reached: what to say, and what to do instead.
_UNREACHABLE = {
    **dict.fromkeys(
        ["add-apt-repository", "apk", "apt", "apt-get", "aptitude", "conda", "dnf", "mamba", "microdnf", "micromamba",
         "snap", "yum", "zypper"],
        ("reaches no package server",
         "Take Python packages by pip, or ask the ML engineer for a base image that holds the rest."),
    ),
    **dict.fromkeys(
        ["easy_install", "gem", "npm", "npx", "pipenv", "pipx", "poetry", "uv", "yarn"],
        ("reaches no package index", "Install with pip."),
    ),
    **dict.fromkeys(
        ["aria2c", "curl", "ftp", "git clone", "git fetch", "git pull", "git submodule", "wget"],
        ("can't download anything",
         "Put the file into the repository and COPY it, or read it from S3 when the job runs."),
    ),
}  # fmt: skip
_DIRECTIVES = {
    "syntax": ("fetches a parser from Docker Hub", "Take the line away: BuildKit brings its own parser."),
    "escape": ("changes how lines end", "Take the line away, and end lines with a backslash."),
}
_URL = re.compile(r"(?i)\b(https?|ftp|git|ssh)://|git\+|git@")
_PIP = re.compile(r"pip[0-9.]*")
_PYTHON = re.compile(r"python[0-9.]*")
_INDEX_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--trusted-host", "--proxy", "--pypi-url")
_INDEX_VARIABLES = frozenset(
    ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST", "PIP_PROXY"]
)
_SECRET_NAME = re.compile(
    r"(?i)(^|_)(secret|token|passwd|password|passphrase|credentials?|apikey|(api|access|private|secret|auth)_?key(_id)?|pwd)$"
)
_SECRET_VALUE = re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@]+:[^/\s@]+@")
_SECRET_FILES = frozenset([".aws", ".env", ".git-credentials", ".netrc", ".npmrc", ".pypirc", "pip.conf"])


@dataclass(frozen=True)
class Finding:
    """One thing in a file that will not work, and what to do instead."""

    file: str
    line: int
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}. {self.mend}"


@dataclass(frozen=True)
class Allowed:
    """Where images may come from: hosts of AWS's registries in the region, and the project's own repositories."""

    hosts: frozenset[str]
    repositories: frozenset[str]

    def __contains__(self, image: object) -> bool:
        host, _, path = str(image).partition("/")
        repository = f"{host}/{re.split('[:@]', path, maxsplit=1)[0]}"
        return bool(path) and (host in self.hosts or repository in self.repositories)


def generated(base: str) -> str:
    """Write the Dockerfile for a project that names dependencies and brings none."""
    return _GENERATED.format(base=base, dependencies=DEPENDENCIES, mount=MOUNT)


def lint(file: str, text: str, allowed: Allowed, base: str) -> list[Finding]:
    """Return what is wrong with a Dockerfile. `base` is what ${BASE_IMAGE} stands for."""
    return sorted(set(_Lint(file, text, allowed, base).findings()), key=lambda each: each.line)


def sources(text: str) -> list[tuple[int, str]]:
    """Return what COPY and ADD take from the build's folder, each with its line."""
    found: list[tuple[int, str]] = []
    for each in instructions(text):
        if each.name in ("ADD", "COPY") and not any(flag.startswith("--from") for flag in each.flags):
            found += [(each.line, source) for source in each.words[:-1] if not _URL.search(source)]
    return found


def parents(text: str, base: str) -> list[str]:
    """Return the images that a Dockerfile begins with, with their arguments filled in and without its own stages."""
    stages: set[str] = set()
    found: list[str] = []
    values = {BASE: base}
    for each in instructions(text):
        if each.name == "ARG" and not found:
            name, given, value = each.rest.partition("=")
            if name != BASE and given:
                values[name.strip()] = value.strip().strip("\"'")
        elif each.name == "FROM" and each.words:
            image = _filled(each.words[0], values)
            if image.lower() not in stages:
                found.append(image)
            if len(each.words) == 3 and each.words[1].upper() == "AS":
                stages.add(each.words[2].lower())
    return found


def lint_requirements(file: str, text: str) -> list[Finding]:
    """Return what is wrong with a requirement file: other indexes, addresses, folders and further files."""
    found: list[Finding] = []
    named = False
    for number, line in enumerate(text.splitlines(), start=1):
        entry = re.sub(r"(^|\s)#.*", "", line).strip()
        if not entry or entry.startswith("--hash"):
            continue
        if _index_option(entry.split()[0]) or _URL.search(entry):
            found.append(Finding(file, number, f"{entry.split()[0]} points out of the platform's package index", (
                "Name the distribution and its version; packages come from CodeArtifact.")))  # fmt: skip
        elif re.match(r"-r\b|-c\b|--requirement|--constraint", entry):
            found.append(Finding(file, number, f"{entry.split()[0]} names a further file, which the image's build does not have", (
                "Write its lines into this file.")))  # fmt: skip
        elif re.match(r"-e\b|--editable|file:|\.{0,2}/", entry) or re.search(r"@\s*(file:|\.{0,2}/)", entry):
            found.append(Finding(file, number, "it installs from a folder, which the image's build does not have", (
                "Put code of your own beside the script; it travels with the job.")))  # fmt: skip
        named = True
    return found or (
        [] if named else [Finding(file, 1, "it names no package", "Name one, or take `dependencies` away.")]
    )


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name, its flags, the rest of it as it stands, and where it is (lines from 1)."""

    name: str
    flags: tuple[str, ...]
    rest: str
    line: int
    lines: tuple[tuple[int, str], ...]

    @property
    def words(self) -> list[str]:
        """The words after the flags, also of a JSON list."""
        words = as_list(self.rest)
        return self.rest.split() if words is None else words

    def line_of(self, word: str) -> int:
        """Return the line where a word stands."""
        return next(
            (number for number, text in self.lines if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)),
            self.line,
        )


def instructions(text: str) -> list[Instruction]:
    """Parse a Dockerfile. What ONBUILD holds counts as an instruction of its own."""
    lines = text.splitlines()
    found: list[Instruction] = []
    for part in DockerfileParser(fileobj=io.BytesIO(text.encode())).structure:
        found.append(_instruction(part, lines))
        while found[-1].name == "ONBUILD":
            name, _, rest = found[-1].rest.partition(" ")
            found.append(_instruction({**part, "instruction": name.upper(), "value": rest}, lines))
    return found


def _instruction(part: dict[str, Any], lines: list[str]) -> Instruction:
    own, rest = flags(part["value"])
    span = range(part["startline"], min(part["endline"] + 1, len(lines)))
    code = tuple(
        (at + 1, lines[at]) for at in span if part["instruction"] == "COMMENT" or not lines[at].lstrip().startswith("#")
    )
    return Instruction(part["instruction"], tuple(own), rest, part["startline"] + 1, code)


def _filled(image: str, values: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return values.get(match[1] or match[3]) or match[2] or match[0]

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)", value, image.strip("\"'"))


def _index_option(word: str) -> bool:
    return word.split("=")[0] in _INDEX_OPTIONS or bool(re.match(r"-[if](?!\w*-)", word))


class _Lint:
    """The rules. One object lints one file."""

    def __init__(self, file: str, text: str, allowed: Allowed, base: str) -> None:
        self.file, self.text, self.allowed, self.base = file, text, allowed, base
        self.instructions = instructions(text)
        self.code = [each for each in self.instructions if each.name != "COMMENT"]
        self.stages = [each.words[2].lower() for each in self.code if each.name == "FROM" and len(each.words) == 3]

    def findings(self) -> Iterator[Finding]:
        yield from self._form()
        yield from self._parents()
        for each in self.code:
            for mount in each.flags:
                if match := re.search(r"(?:^--from=|\bfrom=)([^,\s]+)", mount):
                    yield from self._foreign(match[1], each.line_of(match[1]))
            if each.name == "RUN":
                yield from self._run(each)
            elif each.name in ("ARG", "ENV"):
                yield from self._variables(each)
            elif each.name in ("ADD", "COPY"):
                yield from self._copies(each)

    def _finding(self, line: int, what: str, mend: str) -> Finding:
        return Finding(self.file, line, what, mend)

    def _form(self) -> Iterator[Finding]:
        for number, line in enumerate(self.text.splitlines(), start=1):
            if not re.match(r"\s*#", line):
                break
            if match := re.match(r"(?i)\s*#\s*(syntax|escape)\s*=", line):
                what, mend = _DIRECTIVES[match[1].lower()]
                yield self._finding(number, f"the line `# {match[1].lower()}=` {what}", mend)
        for each in self.code:
            if each.name in ("ADD", "COPY", "RUN") and re.search(r"<<-?[\"']?[A-Za-z_]", each.rest):
                yield self._finding(
                    each.line, "a here-document can't be checked", "Write the commands with && and a backslash."
                )
        last = next(
            (line for line in reversed(self.text.splitlines()) if line.strip() and not re.match(r"\s*#", line)), ""
        )
        if last.rstrip().endswith("\\"):
            yield self._finding(
                len(self.text.splitlines()), "the last line goes on into nothing", "Take the backslash away."
            )
        if not any(each.name == "FROM" for each in self.code):
            yield self._finding(
                1, "there is no FROM", f"Begin with `ARG {BASE}` and `FROM ${{{BASE}}}`, AWS's image of the framework."
            )

    def _parents(self) -> Iterator[Finding]:
        known = {image for image in parents(self.text, self.base) if image in self.allowed}
        for image in dict.fromkeys(parents(self.text, self.base)):
            if image not in known:
                lines = [each.line for each in self.code if each.name == "FROM" and self._begins(each, image)]
                yield from (self._from(image, line) for line in lines or [1])

    def _begins(self, each: Instruction, image: str) -> bool:
        return image in parents(
            "".join(f"ARG {arg.rest}\n" for arg in self.code if arg.name == "ARG") + f"FROM {each.rest}\n", self.base
        )

    def _foreign(self, image: str, line: int) -> Iterator[Finding]:
        if not (image.lower() in self.stages or image.isdigit() or image in self.allowed):
            yield self._from(image, line)

    def _from(self, image: str, line: int) -> Finding:
        return self._finding(line, f"the image {image} is in no registry that can be reached", (
            f"Begin with `ARG {BASE}` and `FROM ${{{BASE}}}` (AWS's image of the framework), or with an image of the project's own"
            f" repositories or of {', '.join(sorted(self.allowed.hosts))}."))  # fmt: skip

    def _run(self, each: Instruction) -> Iterator[Finding]:
        for command in commands(each.rest):
            name = f"git {command.verb}" if command.name == "git" else command.name
            if name in _UNREACHABLE:
                what, mend = _UNREACHABLE[name]
                yield self._finding(each.line_of(command.name), f"{name} {what}", f"{_NO_INTERNET} {mend}")
            yield from self._pip(each, command)

    def _pip(self, each: Instruction, command: Command) -> Iterator[Finding]:
        arguments = list(command.arguments)
        if _PYTHON.fullmatch(command.name) and "-m" in arguments:
            arguments = arguments[arguments.index("-m") + 1 :]
            if not arguments or not _PIP.fullmatch(arguments.pop(0)):
                return
        elif not _PIP.fullmatch(command.name):
            return
        verb = next((word for word in arguments if not word.startswith("-")), "")
        line = each.line_of("pip")
        if verb == "config":
            yield self._finding(line, "pip config stays in the image", f"Use {MOUNT} instead.")
        if verb not in ("download", "install", "wheel"):
            return
        elsewhere = [word for word in arguments if _index_option(word) or _URL.search(word)]
        elsewhere += [name for name, _ in command.variables if name in _INDEX_VARIABLES]
        if elsewhere:
            yield self._finding(each.line_of(elsewhere[0]), f"pip {verb} with {elsewhere[0]} leaves the platform's package index", (
                "Take it away: the secret's configuration names the index."))  # fmt: skip
        if "--no-index" not in arguments and not self._has_secret(each, command):
            yield self._finding(
                line, f"pip {verb} has no access to the package index", f"Write RUN {MOUNT} pip {verb} ..."
            )

    def _has_secret(self, each: Instruction, command: Command) -> bool:
        for mount in each.flags:
            parts = dict(part.partition("=")[::2] for part in mount.removeprefix("--mount=").split(","))
            if parts.get("type") != "secret" or parts.get("id") != SECRET:
                continue
            target = next(
                (parts[key] for key in ("target", "dst", "destination") if key in parts), f"/run/secrets/{SECRET}"
            )
            if target == SECRET_FILE or ("PIP_CONFIG_FILE", target) in command.variables:
                return True
        return False

    def _variables(self, each: Instruction) -> Iterator[Finding]:
        pairs = re.findall(r"([A-Za-z_]\w*)(?:=(\"[^\"]*\"|'[^']*'|\S*))?", each.rest)
        if each.name == "ENV" and "=" not in each.rest.split()[0]:
            name, _, value = each.rest.partition(" ")
            pairs = [(name, value)]
        for name, value in pairs:
            if name in _INDEX_VARIABLES:
                yield self._finding(each.line_of(name), f"{name} leads pip away from the platform's package index", (
                    "Take it away: the secret's configuration names the index."))  # fmt: skip
            elif _SECRET_NAME.search(name) or _SECRET_VALUE.search(value):
                yield self._finding(each.line_of(name), f"{each.name} {name} would keep a secret in the image's history", (
                    "Take it away. A job gets its rights from its role; what pip needs comes as a build secret."))  # fmt: skip

    def _copies(self, each: Instruction) -> Iterator[Finding]:
        for source in each.words[:-1]:
            if _URL.search(source):
                yield self._finding(each.line_of(source), f"{each.name} can't download {source}", (
                    f"{_NO_INTERNET} Put the file into the repository and COPY it."))  # fmt: skip
            elif secret := _SECRET_FILES.intersection(PurePosixPath(source).parts):
                yield self._finding(each.line_of(source), f"{each.name} would keep {min(secret)} in a layer", (
                    "Take it away. A job gets its rights from its role; what pip needs comes as a build secret."))  # fmt: skip
