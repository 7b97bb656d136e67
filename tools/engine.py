"""Create, update and delete the published base stack in the emulator, in its own environment."""

from __future__ import annotations

from tools.errors import MlopsError


class EngineFailed(MlopsError):
    """A stack did not come up, update or go away."""
