"""Create, update and delete every published template in the emulator, with the trial values of its card."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from generators.kit import publishing
from generators.kit.registry import rendered
from generators.kit.stack import Stack
from tools.environments import ROOT, ensure
from tools.errors import MlopsError
from tools.publish import embedded
from tools.publish.aws import EMBEDDED_ACCOUNT


class EngineFailed(MlopsError):
    """A stack did not come up, did not change, or did not go away."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(names)}: the trial in the emulator failed; the resource and its reason stand above. "
            "Mend the generator, then `./inv build publish engine`."
        )


def run(regions: Sequence[str]) -> None:
    """Try every template that has a launch card, in these regions."""
    python = str(ensure("rehearsal"))
    stacks = [item.stack for item in rendered() if item.stack.launch]
    with embedded.running_or_served() as server:
        failed = [
            stack.name
            for stack in stacks
            if subprocess.run([python, *_command(stack, regions, server.endpoint)], cwd=ROOT).returncode != 0
        ]
    if failed:
        raise EngineFailed(failed)


def _command(stack: Stack, regions: Sequence[str], endpoint: str) -> list[str]:
    url = publishing.template_url(stack, embedded.PREFIX, "{region}").replace("%7B", "{").replace("%7D", "}")
    words = ["-m", "rehearsal.stack_trial", url, "--endpoint", endpoint, "--account", EMBEDDED_ACCOUNT]
    for region in regions:
        words += ["--region", region]
    for flag, values in (("--parameter", stack.trial.parameters), ("--change", stack.trial.changes)):
        for name, value in values.items():
            words += [flag, f"{name}={value}"]
    return words
