"""Serve the emulated account: `python -m rehearsal.server --port N --state DIR [--region REGION]`.

Binds 127.0.0.1 only, prints one JSON line {"endpoint", "pid"} when it answers, ends on SIGTERM and SIGINT and, with
--until-stdin-closes, when whoever started it is gone. Buckets and objects outlive it in the state folder.
Besides AWS's APIs it answers git clients at /v1/repos/NAME, and GET /_rehearsal/ledger, resources, executions, builds,
studio?token=, hold?arn= and release?arn= with JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from rehearsal import ministack_internals
from rehearsal.builds.service import PROJECT, Builds
from rehearsal.catalogue import Catalogue
from rehearsal.code.over_http import GitServer
from rehearsal.code.repositories import REPOSITORY, Repositories
from rehearsal.errors import RehearsalError
from rehearsal.index import Index
from rehearsal.ledger import Ledger
from rehearsal.ministack_internals import engine, objects
from rehearsal.packages import PLACE, Packages
from rehearsal.pipelines import Pipelines
from rehearsal.pipelines.service import PIPELINE
from rehearsal.provider import Provider
from rehearsal.sagemaker import GROUP, SageMaker, checks_of, parts_of
from rehearsal.schemas import Registry


@cache
def lambda_python(runtime: str) -> str:
    """Find the interpreter for a runtime such as "python3.13": one of that version that has boto3, as Lambda's has.

    Falls back to the interpreter that runs the emulator, which may be of another version."""
    version = runtime.removeprefix("python")
    own = Path(__file__).resolve().parents[1] / ".venvs/lambda/bin/python"
    candidates = [str(own), shutil.which(f"python{version}")]
    candidates += map(str, sorted((Path.home() / ".pyenv/versions").glob(f"{version}*/bin/python")))
    probe = "import boto3, sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in candidates:
        if candidate and Path(candidate).exists():
            told = subprocess.run([candidate, "-c", probe], capture_output=True, text=True, check=False)
            if told.stdout.strip() == version:
                return candidate
    return sys.executable


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="folder for buckets and objects; made when missing")
    parser.add_argument("--region", default="us-east-1", help="for requests that name none")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input does")
    given = parser.parse_args()
    given.state.mkdir(parents=True, exist_ok=True)
    with socket.socket() as listening, tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", given.port))
        listening.listen(128)
        os.environ["TMPDIR"] = tempfile.tempdir = scratch  # unpacked functions go with the server
        asyncio.run(_serve(listening, given.state.resolve(), given.region, given.until_stdin_closes))


async def _serve(listening: socket.socket, state: Path, region: str, until_stdin_closes: bool) -> None:
    from hypercorn.asyncio import serve  # type: ignore[import-not-found, unused-ignore]
    from hypercorn.config import Config  # type: ignore[import-not-found, unused-ignore]

    port, ledger, end = listening.getsockname()[1], Ledger(), asyncio.Event()
    endpoint = f"http://127.0.0.1:{port}"
    catalogue = Catalogue(ledger, endpoint, objects.template_exists)
    sagemaker, builds, packages = (
        SageMaker(ledger, endpoint),
        Builds(ledger, endpoint),
        Packages(ledger, endpoint, Index(state)),
    )
    studio = parts_of(sagemaker, catalogue)
    repositories = Repositories(ledger, endpoint, state / "repositories", objects.object_bytes)
    pipelines, git = Pipelines(ledger, endpoint, repositories, builds), GitServer(repositories)

    def provider() -> Provider:
        made = Provider(Registry(), ledger, objects.object_exists)
        made.checks = checks_of(sagemaker) | catalogue.checks()
        made.players = {REPOSITORY: "Repositories", PIPELINE: "Pipelines", PROJECT: "Builds", GROUP: "Models"}
        made.after = repositories.after() | pipelines.after()
        return made

    emulator = ministack_internals.prepare(port, state, region, lambda_python, provider)
    ministack_internals.add_tags(sagemaker.name, sagemaker.tagged)
    for service, target in (
        (sagemaker, "SageMaker"),
        (catalogue, "AWS242ServiceCatalogService"),
        (pipelines, "CodePipeline_20150709"),
        (repositories, "CodeCommit_20150413"),
        (builds, "CodeBuild_20161006"),
    ):
        ministack_internals.add_service(service.name, target, service.answer)
    ministack_internals.add_rest_service(packages.name, packages.answer_rest)
    views: dict[str, Callable[..., Any]] = {
        "/_rehearsal/ledger": lambda: ledger.report(engine.standing()),
        "/_rehearsal/resources": ledger.resources,
        "/_rehearsal/executions": lambda: pipelines.executions,
        "/_rehearsal/builds": builds.told,
        "/_rehearsal/studio": studio.enter,
        "/_rehearsal/hold": lambda arn: sagemaker.hold(arn, True),
        "/_rehearsal/release": lambda arn: sagemaker.hold(arn, False),
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] in views:
            given = dict(parse_qsl(scope["query_string"].decode()))
            try:
                status, told = 200, views[scope["path"]](**given)
            except RehearsalError as error:
                status, told = 400, str(error)
            head = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": status, "headers": head})
            await send({"type": "http.response.body", "body": json.dumps(told, default=str).encode()})
        elif scope["type"] == "http" and scope["path"].startswith(PLACE):
            asked = dict(scope["headers"]).get(b"authorization", b"").decode()
            status, kind, content = await asyncio.to_thread(packages.read, scope["path"], asked)
            head = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
            head += [(b"www-authenticate", b'Basic realm="codeartifact"')] if status == 401 else []
            await send({"type": "http.response.start", "status": status, "headers": head})
            await send({"type": "http.response.body", "body": content})
        elif scope["type"] == "http" and git.takes(scope["path"]):
            await git.serve(scope, receive, send)
        else:
            if b"Credential=ASIA" in dict(scope.get("headers", ())).get(b"authorization", b""):
                # Functions and people in roles come over TLS on AWS; the account's own key is taken as it comes.
                scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
            await emulator(scope, receive, send)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if until_stdin_closes:
        wait = lambda: (sys.stdin.read(), loop.call_soon_threadsafe(end.set))  # noqa: E731
        threading.Thread(target=wait, daemon=True).start()
    config = Config()
    config.bind, config.loglevel, config.graceful_timeout = [f"fd://{listening.detach()}"], "WARNING", 1.0
    announcing = asyncio.create_task(_announce(port))
    await serve(app, config, shutdown_trigger=end.wait)
    announcing.cancel()
    ministack_internals.shut_down()


async def _announce(port: int) -> None:
    """Print the ready line once a request is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /_ministack/health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    await reader.readline()
    writer.close()
    print(json.dumps({"endpoint": f"http://127.0.0.1:{port}", "pid": os.getpid()}), flush=True)


if __name__ == "__main__":
    main()
