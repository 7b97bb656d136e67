"""What can go wrong in the rehearsal, each with the change that mends it."""

from __future__ import annotations

from collections.abc import Sequence


class RehearsalError(Exception):
    """Base of every error of this package."""


class MissingPackage(RehearsalError):
    """The interpreter that should run the emulator lacks part of it."""

    def __init__(self, python: object, package: str) -> None:
        super().__init__(f"{python} has no {package}: install requirements/rehearsal.txt there.")


class ServerDidNotStart(RehearsalError):
    """The server ended before it answered."""

    def __init__(self, code: int, log: str) -> None:
        super().__init__(f"The emulator ended with code {code}; mend what its log says last and start it again:\n{log}")


class Refused(RehearsalError):
    """A resource operation that AWS would refuse; the message follows AWS's own where it is known."""


class InvalidProperties(Refused):
    """Properties that the type's registry schema refuses, all of them."""

    def __init__(self, logical_id: str, problems: Sequence[str]) -> None:
        super().__init__(f"Properties validation failed for resource {logical_id} with message: {'; '.join(problems)}")


class TrialFailed(RehearsalError):
    """A stack did not come up, change or go away as it should."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
