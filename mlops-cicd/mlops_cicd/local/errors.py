"""What goes wrong when a definition is played on one machine. Every message ends with the mend."""

from __future__ import annotations

from collections.abc import Sequence

from mlops_cicd.errors import CicdError


class DefinitionError(CicdError):
    """A definition (or one request of it) that cannot be played here; `problems` holds all of them, found before anything ran."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class PlaceError(CicdError):
    """This machine, its interpreter or the dependencies cannot be made ready for the jobs."""


class StoreError(CicdError):
    """Objects that a job names are not there, or cannot be read or written."""


class RegistryError(CicdError):
    """A model or a model package that cannot be made or found."""


class JobFailed(CicdError):
    """A job that ended badly: `reason` for DescribeJob's FailureReason, `log_tail` for the person, `status` Failed or Stopped."""

    def __init__(
        self, reason: str, log_tail: str = "", status: str = "Failed", exit_message: str | None = None
    ) -> None:
        self.reason = reason
        self.log_tail = log_tail
        self.status = status
        self.exit_message = exit_message
        super().__init__(f"{reason}\n{log_tail}" if log_tail else reason)
