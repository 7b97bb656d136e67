"""Create, update and delete every published template in the emulator, with the trial values of its card."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from generators.kit import publishing
from generators.kit.registry import rendered
from generators.kit.stack import Stack
from rehearsal.client import emulator
from tools.environments import ROOT, ensure
from tools.errors import MlopsError
from tools.publish import embedded
from tools.publish.aws import EMBEDDED_ACCOUNT, EMBEDDED_PARTITION, chosen_regions


class EngineFailed(MlopsError):
    """A stack did not come up, did not change, or did not go away."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(names)}: the trial in the emulator failed; the resource and its reason stand above. "
            "Mend the generator, then `./inv build publish engine`."
        )


class NothingPublished(MlopsError):
    """There is no embedded release to launch from."""

    def __init__(self) -> None:
        super().__init__("Nothing is published on this machine yet. Run `./inv build publish engine`.")


def run(regions: str) -> None:
    """Try every template that has a launch card, in these regions (names separated by commas)."""
    names = chosen_regions(regions, EMBEDDED_PARTITION)
    if not embedded.STATE.is_dir():
        raise NothingPublished
    python = ensure("rehearsal")
    ensure("lambda")  # the functions really run, under Lambda's own Python where this machine has it
    stacks = [item.stack for item in rendered() if item.stack.launch]
    # On a copy: what a stack retains on purpose does not stay in the published store.
    with tempfile.TemporaryDirectory() as folder:
        state = shutil.copytree(embedded.STATE, Path(folder) / "state")
        with emulator(state, python) as server:
            failed = [
                stack.name
                for stack in stacks
                if subprocess.run([python, *_command(stack, names, server.endpoint)], cwd=ROOT).returncode != 0
            ]
    if failed:
        raise EngineFailed(failed)


def _command(stack: Stack, regions: Sequence[str], endpoint: str) -> list[str]:
    url = publishing.template_url(stack, embedded.PREFIX, "{region}").replace("%7B", "{").replace("%7D", "}")
    words = ["-m", "rehearsal.stack_trial", url, "--endpoint", endpoint, "--account", EMBEDDED_ACCOUNT]
    for region in regions:
        words += ["--region", region]
    for flag, values in (
        ("--parameter", stack.trial.parameters),
        ("--change", stack.trial.changes),
        ("--fail", stack.trial.fail),
    ):
        for name, value in values.items():
            words += [flag, f"{name}={value}"]
    return words
