"""What can go wrong in the rehearsal, each with the change that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class RehearsalError(Exception):
    """Base of every error of this package."""


class MissingEmulator(RehearsalError):
    """The interpreter that should run the emulator lacks it."""

    def __init__(self, python: Path) -> None:
        super().__init__(f"{python} has no ministack: install requirements/rehearsal.txt into the environment that starts it.")
        self.python = python


class MissingSchemas(RehearsalError):
    """cfn-lint, which ships the registry schemas, is not installed here."""

    def __init__(self) -> None:
        super().__init__("AWS's registry schemas ship with cfn-lint: install requirements/rehearsal.txt into this environment.")


class ServerDidNotStart(RehearsalError):
    """The server ended, or said nothing, before it answered."""

    def __init__(self, reason: str, log: str) -> None:
        super().__init__(f"The emulator {reason}. Mend what its log says last, then start it again:\n{log}")
        self.log = log


class InvalidProperties(RehearsalError):
    """Properties that the type's registry schema refuses, all of them."""

    def __init__(self, logical_id: str, problems: Sequence[str]) -> None:
        super().__init__(f"Properties validation failed for resource {logical_id} with message: {'; '.join(problems)}")
        self.problems = tuple(problems)


class Refused(RehearsalError):
    """A resource operation that AWS would refuse; the message follows AWS's own where it is known."""


class TrialFailed(RehearsalError):
    """A stack did not come up, change or go away as it should."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
