"""One bash for all commands of a build: what a command sets or where it goes to stays, as CodeBuild's version 0.2 has it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

# Names of command files come in on descriptor 3, exit codes go out on 4. What is set is kept after every command, so that a
# command that ends the shell (`exit 1`) ends itself alone.
_DRIVER = r"""
keep() { export -p > "$KEPT/exports"; pwd > "$KEPT/folder"; env -0 > "$KEPT/variables"; }
trap keep EXIT
[ -f "$KEPT/exports" ] && . "$KEPT/exports"
[ -f "$KEPT/folder" ] && cd "$(cat "$KEPT/folder")"
while IFS= read -r -u 3 REPLY; do
  . "$REPLY" 3<&- 4>&- </dev/null
  code=$?
  keep
  echo "$MARK"
  echo "$code" >&4
done
"""


class TimedOut(Exception):
    """The build's time was over."""


class Stopped(Exception):
    """Somebody stopped the build."""


class Shell:
    """A shell in a folder; `say` is given every line that is printed."""

    def __init__(self, folder: Path, kept: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._folder, self._kept, self._environment, self._say = folder, kept, dict(environment), say
        self._process: subprocess.Popen[bytes] | None = None
        self._count, self._mark, self._heard = 0, f"end-{secrets.token_hex(16)}", threading.Event()
        kept.mkdir(parents=True, exist_ok=True)

    def run(self, command: str, deadline: float, stop: threading.Event) -> int:
        """Run a command, give its exit code. Raises TimedOut past `deadline` (monotonic seconds), and Stopped."""
        if self._process is None:
            self._start()
        self._count += 1
        file = self._kept / f"command-{self._count}.sh"
        file.write_text(command + "\n", encoding="utf-8")
        self._heard.clear()
        os.write(self._commands, f"{file}\n".encode())
        told = b""
        while not told.endswith(b"\n"):
            if select.select([self._codes], [], [], 0.05)[0]:
                piece = os.read(self._codes, 64)
                if not piece:  # the command ended the shell
                    return self._ended()
                told += piece
            elif stop.is_set():
                raise Stopped
            elif time.monotonic() > deadline:
                raise TimedOut
        self._heard.wait(timeout=2)  # all that the command printed was said
        return int(told)

    def set(self, name: str, value: str) -> None:
        """Set a variable for the commands to come."""
        self.run(f"export {name}={shlex.quote(value)}", time.monotonic() + 10, threading.Event())

    def variables(self) -> dict[str, str]:
        """Give the environment as the last command left it."""
        told = self._kept / "variables"
        rows = told.read_bytes().decode(errors="replace").split("\0") if told.exists() else []
        return dict(row.split("=", 1) for row in rows if "=" in row)

    def close(self) -> None:
        """End the shell and everything it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._ended()

    def _start(self) -> None:
        here, self._commands = os.pipe()
        self._codes, there = os.pipe()
        # Numbers that are not the two that the driver uses: bash puts these there itself.
        commands, codes = (fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (here, there))
        script = f"exec 3<&{commands} 4>&{codes}; exec {commands}<&- {codes}>&-\n{_DRIVER}"
        self._process = subprocess.Popen(
            ["/bin/bash", "--noprofile", "--norc", "-c", script],
            cwd=self._folder,
            env={**self._environment, "KEPT": str(self._kept), "MARK": self._mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(commands, codes),
            start_new_session=True,
        )
        for end in (here, there, commands, codes):
            os.close(end)
        self._reader = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._reader.start()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as told:
            for raw in told:
                line = raw.decode(errors="replace").rstrip("\n")
                if line != self._mark:
                    self._say(line.removesuffix(self._mark))
                if line.endswith(self._mark):
                    self._heard.set()

    def _ended(self) -> int:
        assert self._process is not None
        os.close(self._commands)
        os.close(self._codes)
        code = self._process.wait()
        self._reader.join(timeout=2)  # something left in the background may hold the pipe
        self._process = None
        return code
