"""Start an emulated account for the length of a `with` block and talk to it with boto3.

Needs no ministack in this interpreter: the server runs in the one that has it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rehearsal.errors import MissingPackage, ServerDidNotStart

ROOT = Path(__file__).resolve().parents[1]
ACCOUNT = "111111111111"


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
    keys = {"aws_access_key_id": account, "aws_secret_access_key": "rehearsal"}
    return import_module("boto3").session.Session(region_name=region, **keys).client(service, endpoint_url=endpoint)


def fetch(endpoint: str, view: str) -> Any:
    """Read one of the server's own views, "ledger" or "resources", past any proxy of the environment."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
    try:
        connection.request("GET", f"/_rehearsal/{view}")
        return json.load(connection.getresponse())
    finally:
        connection.close()


@contextmanager
def emulator(state_dir: Path | None = None, python: Path | None = None, port: int = 0) -> Iterator[Emulator]:
    """Run the server until the block ends; without a state folder nothing outlives it.

    Its standard input is a pipe from here, so it ends as well when this process is killed. Without `python` it runs in
    this interpreter, or in the rehearsal environment when this one has no ministack."""
    python = python or (Path(sys.executable) if find_spec("ministack") else ROOT / ".venvs/rehearsal/bin/python")
    if not python.exists():
        raise MissingPackage(python, "ministack")
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch:
        log, state = Path(scratch) / "server.log", state_dir or Path(scratch) / "state"
        command = [str(python), "-m", "rehearsal.server", "--until-stdin-closes", f"--port={port}", f"--state={state}"]
        pipe = subprocess.PIPE
        with log.open("w") as told, subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=told) as server:
            try:
                line = server.stdout.readline() if server.stdout else b""
                if not line:
                    raise ServerDidNotStart(server.wait(), log.read_text(encoding="utf-8")[-2000:])
                yield Emulator(**json.loads(line))
            finally:
                server.terminate()
                try:
                    server.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    server.kill()
