"""Find the commands in what a Dockerfile's RUN holds: enough of the shell's grammar to tell a command from its arguments."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
# Words that come before a command and are none themselves.
_BEFORE = frozenset(
    ["!", "builtin", "command", "do", "elif", "else", "env", "exec", "if", "nice", "nohup", "sudo", "then", "time", "until",
     "while", "xargs", "{"]
)  # fmt: skip
_SHELLS = frozenset(["ash", "bash", "dash", "sh", "zsh"])


@dataclass(frozen=True)
class Command:
    """One command: its name without a folder, its arguments, and the variables that are set for it."""

    name: str
    arguments: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]

    @property
    def verb(self) -> str:
        """The first argument that is no option."""
        return next((word for word in self.arguments if not word.startswith("-")), "")


def flags(value: str) -> tuple[list[str], str]:
    """Split what follows an instruction into its own flags (--mount=...) and the rest."""
    found, rest = [], value.strip()
    while match := re.match(r"(--[a-z-]+(?:=\S*)?)\s+", rest):
        found.append(match[1])
        rest = rest[match.end() :]
    return found, rest


def commands(text: str) -> list[Command]:
    """Return the commands of a RUN's text, written as a shell's line or as a JSON list."""
    words = as_list(text)
    return list(_command(words)) if words is not None else list(_of_line(text))


def as_list(text: str) -> list[str] | None:
    """Return the words of a JSON list, and None for what is none."""
    if not text.lstrip().startswith("["):
        return None
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def _of_line(text: str) -> Iterator[Command]:
    group: list[str] = []
    for word in _words(text):
        if word and set(word) <= set(";&|()\n"):
            yield from _command(group)
            group = []
        else:
            group.append(word)
    yield from _command(group)


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text.replace("`", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        # A quotation without an end: every word may be a command then.
        return [part for word in re.split(r"[\s'\"]+", text) for part in (word, ";")]


def _command(words: list[str]) -> Iterator[Command]:
    variables = []
    rest = list(words)
    while rest:
        if match := _ASSIGNMENT.fullmatch(rest[0]):
            variables.append((match[1], match[2]))
        elif rest[0] not in _BEFORE and not (rest[0].startswith("-") and len(rest) < len(words)):
            break
        rest = rest[1:]
    for word in words:
        # A command inside quotes: "$(curl ...)".
        if "$(" in word:
            yield from _of_line(word.split("$(", 1)[1])
    if not rest:
        return
    name, arguments = PurePosixPath(rest[0]).name, tuple(rest[1:])
    yield Command(name, arguments, tuple(variables))
    if name in _SHELLS:
        script = next((words for flag, words in pairwise(arguments) if _runs(flag)), None)
        if script is not None:
            yield from _of_line(script)


def _runs(flag: str) -> bool:
    return bool(re.fullmatch(r"-[a-z]*c", flag))
