"""Serves a model as AWS's framework images do: GET /ping, POST /invocations, through the functions of inference.py.

Environment: SAGEMAKER_PROGRAM and SAGEMAKER_SUBMIT_DIRECTORY name the code, SAGEMAKER_BASE_DIR (when set) stands for /opt/ml.
Started as `python server.py FD` with a socket that listens already, so that it can answer from a namespace without network.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
# The inference toolkit decodes these before input_fn: sagemaker-inference-toolkit, content_types.UTF8_TYPES
TEXT_TYPES = ("text/csv", "application/json")
DEFAULT_ACCEPT = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "application/json")
Answer = tuple[bytes, str]
Transform = Callable[[Any, bytes | str, str, str], Any]


def load() -> tuple[Any, Transform]:
    """Import the program and load the model; exits with a sentence for the log when that cannot be."""
    submit = os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    folder = Path(submit) if submit.startswith("/") else BASE / "model" / "code"
    name = os.environ.get("SAGEMAKER_PROGRAM", "inference.py")
    program = folder / name
    if not program.is_file():
        held = ", ".join(sorted(item.name for item in folder.iterdir())) if folder.is_dir() else "no such folder"
        sys.exit(
            f"SAGEMAKER_PROGRAM {name} is not in {folder} (it holds: {held}). Let the training job put it into model/code."
        )
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location(program.stem, program)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[program.stem] = module  # so that objects pickled by their module's name are found
    spec.loader.exec_module(module)
    own = getattr(module, "transform_fn", None)
    needed = ["model_fn"] if own else ["model_fn", "input_fn", "predict_fn", "output_fn"]
    lacking = [item for item in needed if not callable(getattr(module, item, None))]
    if lacking:
        sys.exit(
            f"{name} does not define {', '.join(lacking)}. Write them: the default functions of the image are not played here."
        )

    def transform(model: Any, body: bytes | str, content_type: str, accept: str) -> Any:
        return module.output_fn(module.predict_fn(module.input_fn(body, content_type), model), accept)

    return module.model_fn(str(BASE / "model")), own or transform


def answer(result: Any, accept: str) -> Answer:
    """Bring what output_fn or transform_fn gave into bytes and a content type."""
    kind = accept
    if isinstance(result, tuple) and len(result) == 2:
        result, kind = result
    if isinstance(result, str):
        return result.encode(), kind
    if isinstance(result, bytes | bytearray):
        return bytes(result), kind
    raise TypeError(
        f"output_fn gave {type(result).__name__}. Return text or bytes, or a pair of them and the content type."
    )


class Server(ThreadingHTTPServer):
    """Answers on a socket that somebody else opened."""

    daemon_threads = True
    model: Any
    transform: Transform

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = listening.getsockname()[:2]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer /ping; the model is loaded before the first request is read."""
        self._send(200 if self.path == "/ping" else 404, b"", "text/plain")

    def do_POST(self) -> None:
        """Answer /invocations. What input_fn refuses (ValueError) is the caller's fault, anything else the model's."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/invocations":
            self._send(404, b"Post to /invocations.", "text/plain")
            return
        content_type = self.headers.get("Content-Type") or "application/octet-stream"
        accept = self.headers.get("Accept") or ""
        accept = DEFAULT_ACCEPT if accept in ("", "*/*") else accept
        try:
            plain = content_type.partition(";")[0].strip().lower() in TEXT_TYPES
            given = body.decode("utf-8") if plain else body
            data, kind = answer(self.server.transform(self.server.model, given, content_type, accept), accept)
        except ValueError as error:
            traceback.print_exc()
            self._send(400, str(error).encode() or type(error).__name__.encode(), "text/plain; charset=utf-8")
        except Exception as error:  # whatever the model's code raises is the answer's 500
            traceback.print_exc()
            self._send(500, f"{type(error).__name__}: {error}".encode(), "text/plain; charset=utf-8")
        else:
            self._send(200, data, kind)

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write one line for each request but pings."""
        if self.path != "/ping":
            print(f"{self.command} {self.path} {format % args}", file=sys.stderr, flush=True)


def main(handle: int) -> None:
    """Load the model, then answer until the process is ended."""
    model, transform = load()
    server = Server(socket.socket(fileno=handle))
    server.model, server.transform = model, transform
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
