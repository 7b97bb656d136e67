"""Load each function as its zip holds it: its own modules and the shared ones side by side at the root."""

from __future__ import annotations

import importlib
import io
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LAMBDAS = Path(__file__).parents[2] / "lambdas"
SECRET = "X-Amz-Signature=0123secret"  # stands in every response URL; no log line may hold it
REGION, ACCOUNT = "eu-central-1", "111122223333"
SERVICES = (
    "custom-resource",
    "quota-check",
    "experiment-tagging",
    "event-router",
    "platform-code",
    "project-ready",
    "release-files",
    "studio-user",
)


@dataclass
class Context:
    """What Lambda gives a handler, with the time limit in seconds."""

    seconds: float = 30.0
    log_stream_name: str = "2026/01/01/[$LATEST]abc"
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:helper"
    started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.started + self.seconds - time.monotonic()) * 1000))


@dataclass
class Sent:
    """One request that the local server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Server:
    """A real HTTP server on this machine. `plan` says what the next requests get; then it answers 200.

    A step is a status, a status with a body, or a word: `drop` closes the connection, `hang` waits for the client to
    give up.
    """

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.plan: list[int | tuple[int, bytes] | str] = []
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.sent.append(Sent(self.command, self.path, dict(self.headers.items()), body))
                step = outer.plan.pop(0) if outer.plan else 200
                if isinstance(step, str):
                    if step == "hang":
                        outer.closing.wait(5)
                    self.close_connection = True
                    return
                status, content = step if isinstance(step, tuple) else (step, b"")
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_PUT = do_POST = _any

            def log_message(self, format: str, *args: Any) -> None:
                """Stay silent: the default writes to standard error."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.base}/response?{SECRET}"

    def stop(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Log:
    """The JSON lines that the functions wrote."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def named(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["message"] == message]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give boto3 a region and dummy keys, and nothing of the machine's own: no profile, proxy or endpoint."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "http_proxy", "HTTP_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    given = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "x", "NO_PROXY": "*"}
    files = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    for name, value in (given | files | {"AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def log() -> Iterator[Log]:
    found = Log()
    yield found
    assert SECRET not in found.stream.getvalue(), "a log line holds the response URL"


@pytest.fixture
def load(log: Log) -> Iterator[Callable[[str, str], ModuleType]]:
    """Import a module of a function in the flat form of its zip; afterwards forget all of them."""
    path = list(sys.path)

    def loader(function: str, module: str) -> ModuleType:
        sys.path[:0] = [str(LAMBDAS / function), str(LAMBDAS / "_shared")]
        loaded = importlib.import_module(module)
        for service in SERVICES:
            # Powertools keeps the stream of the first test, which pytest closes.
            for handler in logging.getLogger(service).handlers:
                if isinstance(handler, logging.StreamHandler):
                    handler.setStream(log.stream)
        return loaded

    yield loader
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(f"{LAMBDAS}/"):
            del sys.modules[name]


@pytest.fixture
def context() -> type[Context]:
    return Context


@pytest.fixture
def request_event(server: Server) -> Callable[..., dict[str, Any]]:
    """Build what CloudFormation sends."""

    def build(kind: str = "Create", **changes: Any) -> dict[str, Any]:
        event: dict[str, Any] = {
            "RequestType": kind,
            "ResponseURL": server.url,
            "StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/mlops-infra/0a1b2c3d-0000-1111-2222-3333",
            "RequestId": "unique-id",
            "ResourceType": "Custom::Helper",
            "LogicalResourceId": "QuotaCheck",
            "ResourceProperties": {"ServiceToken": "arn", "Size": "3"},
        }
        if kind != "Create":
            event |= {"PhysicalResourceId": "given-id", "OldResourceProperties": {"Size": "2"}}
        return event | changes

    return build
