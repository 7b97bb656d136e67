"""Start an emulated account for the length of a `with` block and talk to it with boto3.

Needs no ministack in this interpreter: the server runs in the one that has it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rehearsal.errors import MissingEmulator, ServerDidNotStart

ROOT = Path(__file__).resolve().parents[1]
ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Emulator:
    """A running server."""

    endpoint: str
    pid: int

    def client(self, service: str, region: str = "us-east-1", account: str = ACCOUNT) -> Any:
        """Give a boto3 client; the access key is the account id, by which the emulator tells accounts apart."""
        return client(self.endpoint, service, region, account)

    def ledger(self) -> dict[str, Any]:
        """Give what every stack operation did, live and recorded counted, and what was ignored (nothing)."""
        return dict(fetch(self.endpoint, "ledger"))

    def resources(self) -> list[dict[str, Any]]:
        """List every resource that stacks made and that still exists."""
        return list(fetch(self.endpoint, "resources"))


@cache  # making one takes a tenth of a second, and they are safe to share
def client(endpoint: str, service: str, region: str, account: str = ACCOUNT) -> Any:
    """Give a boto3 client of an emulated account and region."""
    import boto3

    session = boto3.session.Session(aws_access_key_id=account, aws_secret_access_key="rehearsal", region_name=region)
    return session.client(service, endpoint_url=endpoint)


def fetch(endpoint: str, view: str) -> Any:
    """Read one of the server's own views, "ledger" or "resources"."""
    with urllib.request.urlopen(f"{endpoint}/_rehearsal/{view}", timeout=30) as answer:
        return json.load(answer)


def emulator_python() -> Path:
    """Find the interpreter that has ministack: this one, or the rehearsal environment's."""
    python = Path(sys.executable) if find_spec("ministack") else ROOT / ".venvs/rehearsal/bin/python"
    if not python.exists():
        raise MissingEmulator(python)
    return python


@contextmanager
def emulator(state_dir: Path | None = None, python: Path | None = None, port: int = 0) -> Iterator[Emulator]:
    """Run the server until the block ends; without a state folder nothing outlives it.

    The server's standard input is a pipe from here, so it ends as well when this process is killed."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch:
        log = Path(scratch) / "server.log"
        command = [str(python or emulator_python()), "-m", "rehearsal.server", "--until-stdin-closes",
                   "--port", str(port), "--state", str(state_dir or Path(scratch) / "state")]  # fmt: skip
        with log.open("w") as errors:
            server = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        with server:
            try:
                line = server.stdout.readline() if server.stdout else ""
                if not line:
                    raise ServerDidNotStart(f"ended with code {server.wait()}", log.read_text()[-2000:])
                yield Emulator(**json.loads(line))
            finally:
                server.terminate()
                try:
                    server.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    server.kill()
