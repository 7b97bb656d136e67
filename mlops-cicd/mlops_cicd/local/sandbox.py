"""Runs a job as a subprocess whose /opt/ml is a folder: in namespaces of its own, or, where they are missing, with mapped paths."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import JobFailed, PlaceError
from .packages import INSIDE, Tools
from .place import Job, Mode

_BASE = ("unshare", "--user", "--map-root-user", "--mount", "--net", "--ipc")
_FLAGS = ((*_BASE, "--pid", "--fork", "--kill-child", "--mount-proc"), _BASE)
GRACE_SECONDS = 2.0  # between SIGTERM and SIGKILL; the service waits 120
GONE_SECONDS = 0.5  # for what was killed to be gone; a dead process may stay listed where nobody collects it
OWN = ".mlops"
LOST = (
    "not played: namespaces ({why}). Jobs can reach the network and all files of yours, see no /tmp of their "
    "own, and must find /opt/ml by SAGEMAKER_BASE_DIR: only entry point, arguments and environment are mapped"
)
_PYTHON = re.compile(r"(/\S+/)?python(3(\.\d+)?)?")
_SPARK = """#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in --local-spark-event-logs-dir|--spark-event-logs-s3-uri) shift 2 ;; --verbose) shift ;; *) break ;; esac
done
command -v spark-submit >/dev/null || {
  echo "smspark-submit is a program of the Spark image. Install pyspark for the jobs, and Java, to run it here." >&2
  exit 127
}
exec spark-submit --master 'local[*]' "$@"
"""


@dataclass(frozen=True)
class Isolation:
    """How jobs are kept apart: the command that makes the namespaces, or none and why."""

    command: tuple[str, ...]
    why: str = ""

    @property
    def mapped(self) -> bool:
        """Say whether paths are mapped, since there are no namespaces."""
        return not self.command


@functools.cache
def isolation(mode: Mode = "auto") -> Isolation:
    """Find out, once a process, what this machine allows; PlaceError when namespaces are asked for and not given."""
    if mode == "mapped":
        return Isolation((), "mapped paths were asked for")
    why = "there is no unshare program" if shutil.which("unshare") is None else ""
    for flags in _FLAGS if not why else ():
        with tempfile.TemporaryDirectory() as folder:
            refused = _probe(flags, Path(folder))
        if refused is None:
            return Isolation(flags)
        why = refused
    if mode == "namespaces":
        raise PlaceError(
            f"This machine gives no namespaces: {why}. Allow unprivileged user namespaces, or use the mode mapped."
        )
    return Isolation((), why)


def _probe(flags: Sequence[str], folder: Path) -> str | None:
    """Start nothing in a sandbox; gives what the machine says against it, or None."""
    (folder / "ml").mkdir()
    (folder / "tmp").mkdir()
    host = {
        "ml": str(folder / "ml"),
        "tmp": str(folder / "tmp"),
        "log": str(folder / "log"),
        "cwd": "/opt/ml",
        "env": {},
    }
    plan = {"hosts": [host | {"command": ["/bin/sh", "-c", ":"], "keep": [], "hide": []}], "fds": []}
    (folder / "plan.json").write_text(json.dumps(plan))
    try:
        done = subprocess.run(
            _launch(flags, folder / "plan.json"), env=_OUTER, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


_OUTER = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def _launch(flags: Sequence[str], plan: Path) -> list[str]:
    return [*flags, sys.executable, "-I", "-S", str(INSIDE / "launch.py"), str(plan)]


@dataclass(frozen=True)
class Host:
    """One machine of a job: its /opt/ml, its /tmp, and its log."""

    name: str
    ml: Path
    tmp: Path
    log: Path


Environment = Callable[[Host], Mapping[str, Any]]


class Sandbox:
    """The folders of one job, and how its processes are started."""

    def __init__(self, job: Job, tools: Tools, hosts: int = 1) -> None:
        self.job, self.tools = job, tools
        self.isolation = isolation(job.mode)
        if self.isolation.mapped and hosts > 1:
            raise PlaceError(f"{hosts} hosts need namespaces. Use one instance for a local run.")
        self.hosts = [self._host(index, hosts) for index in range(hosts)]

    def _host(self, index: int, hosts: int) -> Host:
        name, log = f"algo-{index + 1}", self.job.log_file.absolute()
        folder = self.job.folder.absolute() / (name if hosts > 1 else "")
        host = Host(
            name, folder / "ml", folder / "tmp", log.with_name(f"{log.stem}-{name}{log.suffix}") if index else log
        )
        own = host.tmp / OWN
        (own / "bin").mkdir(parents=True)
        (host.tmp / "home").mkdir()
        (host.ml / "output").mkdir(parents=True)
        host.log.parent.mkdir(parents=True, exist_ok=True)
        host.log.write_bytes(b"")
        shutil.copyfile(INSIDE / "server.py", own / "server.py")
        shutil.copyfile(INSIDE / "sitecustomize.py", own / "sitecustomize.py")
        plan = {**self._whose(host), "imports": self.tools.imports}
        (own / "imports.json").write_text(json.dumps(plan), encoding="utf-8")
        python = shlex.quote(str(self.tools.python))
        for program, line in {"python": "", "python3": "", "pip": " -m pip", "pip3": " -m pip"}.items():
            _program(own / "bin" / program, f'#!/bin/sh\nexec {python}{line} "$@"\n')
        if shutil.which("smspark-submit") is None:
            _program(own / "bin" / "smspark-submit", _SPARK)
        return host

    def _whose(self, host: Host) -> dict[str, list[str]]:
        """Say which folders hold the job's own code: /opt/ml, and /tmp, where scripts unpack archives."""
        seen = [host.ml, host.tmp] if self.isolation.mapped else [host.ml, Path("/opt/ml"), Path("/tmp")]  # noqa: S108
        roots = {str(item) for item in (*seen, *(item.resolve() for item in seen))}
        own = [str(Path(root) / OWN) for root in roots]
        return {
            "roots": sorted(roots),
            "foreign": own + [item for item in self.tools.folders if item.startswith(tuple(roots))],
        }

    @property
    def ml(self) -> Path:
        """Give the folder that the first host sees as /opt/ml."""
        return self.hosts[0].ml

    def path(self, inside: str, host: Host | None = None) -> Path:
        """Say where a path below /opt/ml lies on this machine."""
        return (host or self.hosts[0]).ml / inside.removeprefix("/opt/ml").lstrip("/")

    def seen(self, text: str, host: Host) -> str:
        """Write a text as the job's process must read it: unchanged, or with mapped paths."""
        return re.sub(r"/opt/ml(?![A-Za-z0-9_-])", lambda _: str(host.ml), text) if self.isolation.mapped else text

    def environment(self, given: Mapping[str, Any], host: Host) -> dict[str, str]:
        """Make a job's whole environment; nothing of the caller's own is in it."""
        tmp = str(host.tmp) if self.isolation.mapped else "/tmp"  # noqa: S108 (a /tmp of the job's own)
        named = {key: self.seen(str(value), host) for key, value in given.items()}
        own = f"{tmp}/{OWN}"
        programs = [f"{own}/bin", str(self.tools.python.parent), named.get("PATH", "/usr/local/bin:/usr/bin:/bin")]
        modules = [own, str(self.tools.extra or ""), named.get("PYTHONPATH", "")]
        return {
            "AWS_REGION": self.job.region,
            "HOME": f"{tmp}/home",
            "LANG": "C.UTF-8",
            "TMPDIR": tmp,
            "PYTHONPYCACHEPREFIX": str(self.tools.bytecode),  # compiled once for all jobs, and never into /opt/ml
            "PYTHONUNBUFFERED": "1",
            **named,
            **({"SAGEMAKER_BASE_DIR": str(host.ml)} if self.isolation.mapped else {}),
            "PATH": ":".join(programs),
            "PYTHONPATH": ":".join(filter(None, modules)),
        }

    def start(
        self, command: Sequence[str], environment: Environment, cwd: str = "/opt/ml", fds: Sequence[int] = ()
    ) -> Running:
        """Start the command on every host of the job; it inherits the open files of `fds`."""
        plans = [self._plan(host, command, environment, cwd) for host in self.hosts]
        if self.isolation.mapped:
            return Running(self, self._start_mapped(plans[0], fds))
        plan = self.job.folder.absolute() / "sandbox.json"
        plan.write_text(json.dumps({"hosts": plans, "fds": list(fds)}, indent=1), encoding="utf-8")
        with self.hosts[0].log.open("ab") as log:
            process = subprocess.Popen(
                _launch(self.isolation.command, plan),
                env=_OUTER,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=fds,
                start_new_session=True,
            )
        return Running(self, process)

    def _plan(self, host: Host, command: Sequence[str], environment: Environment, cwd: str) -> dict[str, Any]:
        words = [self.seen(str(word), host) for word in command]
        if _PYTHON.fullmatch(words[0]):  # the image's python, wherever the image has it
            words[0] = "python3"
        names = self.job.folder.absolute() / "hosts"
        others = " ".join([*(item.name for item in self.hosts), socket.gethostname()])
        names.write_text(f"127.0.0.1 localhost {others}\n::1 localhost\n", encoding="utf-8")
        return {
            "ml": str(host.ml),
            "tmp": str(host.tmp),
            "log": str(host.log),
            "hosts": str(names),
            "command": words,
            "cwd": self.seen(cwd, host),
            "env": self.environment(environment(host), host),
            "keep": [item for item in self.tools.folders if Path(item).is_dir()],
            "hide": [str(Path.home() / item) for item in (".aws", ".ssh", ".docker")],
        }

    def _start_mapped(self, plan: Mapping[str, Any], fds: Sequence[int]) -> subprocess.Popen[bytes]:
        Path(plan["cwd"]).mkdir(parents=True, exist_ok=True)
        with self.hosts[0].log.open("ab") as log:
            try:
                return subprocess.Popen(
                    plan["command"],
                    env=plan["env"],
                    cwd=plan["cwd"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=fds,
                    start_new_session=True,
                )
            except OSError as error:
                text = f"The program {plan['command'][0]} cannot be started: {error.strerror}. Is it a program of the image?"
                raise JobFailed(f"AlgorithmError: {text}") from error


def _program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


class Running:
    """A job's processes, and how they end."""

    def __init__(self, sandbox: Sandbox, process: subprocess.Popen[bytes]) -> None:
        self.sandbox, self.process = sandbox, process

    def wait(self, seconds: float | None, stop: threading.Event | None) -> int:
        """Wait for the exit code; JobFailed when the time limit is over or `stop` was set. Nothing is left running."""
        deadline = time.monotonic() + seconds if seconds is not None else None
        try:
            while True:
                try:
                    return self.process.wait(0.1)
                except subprocess.TimeoutExpired:
                    self.check(deadline, seconds, stop)
        finally:
            self.end()

    def check(self, deadline: float | None, seconds: float | None, stop: threading.Event | None) -> None:
        """Raise JobFailed when the job must end now."""
        if stop is not None and stop.is_set():
            raise JobFailed("The job was stopped.", self.tail(), status="Stopped")
        if deadline is not None and time.monotonic() > deadline:
            raise JobFailed(
                f"MaxRuntimeExceeded: the job ran longer than {seconds:g} seconds. Make it faster, or raise its time limit.",
                self.tail(),
            )

    def end(self) -> None:
        """End the whole process group: politely first while the job runs, then for sure."""
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE_SECONDS)
        self._signal(signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + GONE_SECONDS
        while self._signal(0) and time.monotonic() < deadline:  # what was killed is gone a moment later
            time.sleep(0.01)

    def _signal(self, number: int) -> bool:
        """Send a signal to the group; says whether it still has processes."""
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def tail(self, count: int = 25) -> str:
        """Give the last lines of the job's log."""
        return tail(self.sandbox.hosts[0].log, count)


def tail(log: Path, count: int = 25) -> str:
    """Give the last lines of a log."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64_000))
        return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-count:])
