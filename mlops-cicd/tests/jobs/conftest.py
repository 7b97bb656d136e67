"""The world of the job sm_pipeline, and what a job printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.jobs.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A project whose push succeeds."""
    return World(tmp_path)


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return what was printed since the last time."""
    return lambda: capfd.readouterr().out
