"""The base of every error a task may end with. Its message is shown alone, without a traceback."""

from __future__ import annotations


class MlopsError(Exception):
    """An error whose message tells what is wrong and ends with the command or change that mends it."""


class Problems(MlopsError):
    """Several problems found in one go, so that one run shows all there is to mend."""

    def __init__(self, title: str, problems: list[str], mend: str) -> None:
        self.problems = problems
        super().__init__("\n".join([title, *(f"  - {problem}" for problem in problems), mend]))
