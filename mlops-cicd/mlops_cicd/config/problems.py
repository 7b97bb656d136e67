"""What is wrong in a configuration file: each problem with its line, its key and its mend, all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlops_cicd.errors import CicdError

FILE = "model_config.yaml"
Place = tuple[str | int, ...]
Lines = Mapping[Place, int]
MOST = 50


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: its line, 1 and up, its key and the mend."""

    line: int
    place: Place
    what: str
    mend: str

    def __str__(self) -> str:
        """Return the problem without the file's name and line."""
        key = written(self.place)
        return f"{key + ': ' if key else ''}{self.what}. {self.mend}"


class ConfigError(CicdError):
    """A configuration file that can't be taken; the message names every problem, in the order of the lines."""

    def __init__(self, problems: Iterable[Problem], file: str = FILE) -> None:
        """Sort the problems, each of them named once."""
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda each: each.line))
        self.file = file
        rows = [f"{file}:{each.line}: {each}" for each in self.problems[:MOST]]
        if len(self.problems) > MOST:
            rows.append(f"{file}: {len(self.problems) - MOST} more problems. Mend those above first.")
        super().__init__("\n".join(rows))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...], str]]:
        """Let an error pass from one process to another."""
        return type(self), (self.problems, self.file)


def written(place: Place) -> str:
    """Return a place as a person writes it: section.key, and list[2] for the second of a list."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            # A key from the file may be anything; the message stays on one line.
            shown = "".join(each if each.isprintable() else "?" for each in part[:80])
            text += f".{shown}" if text else shown
    return text


def line_of(place: Place, lines: Lines) -> int:
    """Return the line of a place, or of what holds it."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)
