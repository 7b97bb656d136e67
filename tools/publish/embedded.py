"""The embedded S3: the emulator on this machine, its state in build/embedded. A rehearsal, and nobody's release.

Whoever starts the emulator holds a lock, because two of them would write one state folder; `./inv serve` notes where it
listens, and `./inv publish` then uses that one."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

from generators.kit.publishing import ROOT
from rehearsal.client import emulator
from rehearsal.errors import RehearsalError
from tools import environments
from tools.publish.aws import Aws
from tools.publish.errors import EmbeddedFailed, EmbeddedInUse, ReadBackDiffers
from tools.publish.manifest import LATEST, MANIFEST, Release
from tools.publish.plan import RegionPlan, each

FOLDER = ROOT / "build" / "embedded"
STATE = FOLDER / "state"
PREFIX = "mlops-local"


@dataclass(frozen=True)
class Server:
    """A running emulator; `served` when `./inv serve` runs it."""

    endpoint: str
    pid: int
    served: bool


@contextmanager
def running(port: int = 0) -> Iterator[Server]:
    """Start the emulator over the embedded state for the length of the block. Raises when it runs already."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    python = environments.ensure("rehearsal")
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            known = served()
            raise EmbeddedInUse(known.endpoint if known else None) from None
        try:
            with emulator(STATE, python, port) as started:
                yield Server(started.endpoint, started.pid, served=False)
        except RehearsalError as error:
            raise EmbeddedFailed(str(error)) from error


@contextmanager
def running_or_served() -> Iterator[Server]:
    """Use the emulator that `./inv serve` runs, or start one for the length of the block."""
    known = served()
    if known:
        yield known
        return
    with running() as server:
        yield server


def served() -> Server | None:
    """Give the emulator that `./inv serve` noted, if it is alive; a note may outlive its server."""
    try:
        note = json.loads((FOLDER / "server.json").read_text(encoding="utf-8"))
        server = Server(str(note["endpoint"]), int(note["pid"]), served=True)
        os.kill(server.pid, 0)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return server if answers(server.endpoint) else None


@contextmanager
def noted(server: Server) -> Iterator[None]:
    """Note where the emulator listens, for the length of the block."""
    note = FOLDER / "server.json"
    note.write_text(json.dumps({"endpoint": server.endpoint, "pid": server.pid}) + "\n", encoding="utf-8")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def answers(endpoint: str) -> bool:
    """Tell whether the emulator answers."""
    try:
        status, _ = get(endpoint + "/_ministack/health")
    except (OSError, http.client.HTTPException):
        return False
    return status == 200


def get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Read a URL of this machine over plain HTTP, past any proxy that the person's environment names."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request("GET", parts.path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def read_back(aws: Aws, plans: Sequence[RegionPlan], release: Release) -> int:
    """Get every object of every region over HTTP and hold it against the manifest found there; gives how many."""
    problems: list[str] = []
    count = 0
    for plan, result in each(plans, lambda plan: _read_region(aws, plan, release)):
        region = plan.store.region
        if isinstance(result, Exception):
            problems.append(f"{region}: {result}")
        else:
            count += result[0]
            problems += [f"{region}: {problem}" for problem in result[1]]
    if problems:
        raise ReadBackDiffers(sorted(problems), FOLDER)
    return count


def _read_region(aws: Aws, plan: RegionPlan, release: Release) -> tuple[int, list[str]]:
    manifest = _read(aws, plan, release.prefix + MANIFEST)
    if manifest != release.manifest.body:
        return 1, [f"{release.prefix}{MANIFEST} is not the one that was written"]
    rows = json.loads(manifest)["objects"]
    expected = {release.prefix + row["key"]: row["sha256"] for row in rows}
    if release.stable and not plan.latest.stays_at:
        expected |= {LATEST + row["key"]: row["sha256"] for row in rows if row["key"].startswith("templates/")}
        expected[LATEST + MANIFEST] = sha256(manifest).hexdigest()
    wrong = [key for key, wanted in expected.items() if sha256(_read(aws, plan, key)).hexdigest() != wanted]
    return 1 + len(expected), [f"{key} has another checksum" for key in wrong]


def _read(aws: Aws, plan: RegionPlan, key: str) -> bytes:
    """Get one object as any HTTP client would: not through the client that sent it."""
    url = f"{aws.endpoint_url}/{plan.store.bucket}/{quote(key)}"
    request = AWSRequest("GET", url)
    signer: Any = S3SigV4Auth
    signer(aws.session.get_credentials(), "s3", plan.store.region).add_auth(request)
    try:
        status, body = get(url, dict(request.headers.items()))
    except (OSError, http.client.HTTPException) as error:
        raise EmbeddedFailed(f"reading {key} back failed: {error}") from error
    if status != 200:
        raise EmbeddedFailed(f"reading {key} back was answered with HTTP {status}")
    return body
