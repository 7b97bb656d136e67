"""Say in a KB why a training script failed: what helps, where that is known, and its last words."""

from __future__ import annotations

import re
import signal

from failures import one_line, shortened

# By what the last words hold, the first that fits.
MENDS = (
    (r"No module named '?([\w.]+)", "name the package of {0} in train_config.dependencies"),
    (r"unrecognized arguments: (.+)", "the script does not take {0}: look at train_config.hyperparameters"),
    (r"the following arguments are required: (.+)", "add {0} to train_config.hyperparameters"),
    (r"argument (\S+): invalid", "mend {0} in train_config.hyperparameters"),
    (r"CUDA out of memory|OutOfMemoryError", "take a smaller batch, or a larger train_config.instance_type"),
    (r"MemoryError|Cannot allocate memory|Unable to allocate", "take a larger train_config.instance_type"),
    (r"No space left on device", "raise train_config.volume_size_gb"),
    (
        r"Temporary failure in name resolution|Name or service not known|Network is unreachable|"
        r"ConnectTimeout|Max retries exceeded",
        "there is no internet: put the data in data_config.inputs and packages in train_config.dependencies",
    ),
)
# A line that says nothing by itself, before the first that does.
NOISE = re.compile(r"^[\s=*#~^_-]*$")


def told(script: str, code: int, stopped: bool, last: str, limit: int) -> str:
    """Give the message of a failure within a number of bytes: exit code, mend, last words."""
    lines = [line for line in (one_line(line) for line in last.splitlines()) if not NOISE.match(line)]
    head = f"{script} {_how(code, stopped)}"
    mend = _mend(code, stopped, "\n".join(lines[-40:]))
    lead = f"{head}. {mend[0].upper()}{mend[1:]}." if mend else f"{head}."
    if not lines:
        return shortened(f"{lead} It printed nothing: let it say what is wrong before it ends.", limit)
    return _with_last_words(shortened(lead, limit // 2), lines, limit)


def _how(code: int, stopped: bool) -> str:
    """Say how the script ended."""
    if stopped:
        return f"was stopped, and ended with exit code {code}"
    if code > 128:
        known = {number.value: number.name for number in signal.Signals}
        return f"was ended by {known.get(code - 128, f'signal {code - 128}')} (exit code {code})"
    return f"ended with exit code {code}"


def _mend(code: int, stopped: bool, text: str) -> str:
    """Find what helps."""
    if stopped:
        return "the job was stopped by hand or by its time limit: look at the project's maximum runtime"
    if code == 128 + signal.SIGKILL:
        return "most likely there was not enough memory: take a larger train_config.instance_type"
    for pattern, mend in MENDS:
        found = re.search(pattern, text)
        if found:
            return mend.format(*(group[:120] for group in found.groups()))
    return ""


def _with_last_words(lead: str, lines: list[str], limit: int) -> str:
    """Add as many of the last lines as there is room for, in their order; the last one at least in part."""
    room = limit - len(f"{lead} Its last words:\n".encode())
    kept: list[str] = []
    for line in reversed(lines):
        size = len(line.encode()) + 1
        if size > room:
            if not kept:
                kept.append(shortened(line, room))
            break
        kept.append(line)
        room -= size
    return f"{lead} Its last words:\n" + "\n".join(reversed(kept))
