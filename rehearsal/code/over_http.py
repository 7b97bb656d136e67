"""Git over HTTP at /v1/repos/NAME: `git http-backend` behind CodeCommit's way to sign in.

Set a client up with credential.useHttpPath=true and credential.helper='!f() { test "$1" != get || aws codecommit
credential-helper get --ignore-host-check; }; f': user name and password are an access key (with %session-token) and a SigV4
signature of the path."""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import hmac
import re
import subprocess
from asyncio import to_thread
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rehearsal.code.git import _CLEAN
from rehearsal.code.repositories import Repositories, Repository
from rehearsal.ministack_internals import access

PATH = re.compile(
    r"/v1/repos/(?P<name>[\w.-]+)(?P<rest>/(?:info/refs|git-upload-pack|git-receive-pack|HEAD|objects/.*))"
)
STALE = 15 * 60  # seconds that a signature is good for
_COMMAND = re.compile(rb"[0-9a-f]{4}[0-9a-f]{40} [0-9a-f]{40} (refs/[^\0\n]+)")


@dataclass(frozen=True)
class Reply:
    """What git is answered."""

    status: int
    head: tuple[tuple[str, str], ...]
    body: bytes


class GitServer:
    """Answers git clients."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories

    def takes(self, path: str) -> bool:
        """Tell whether a path is a git client's."""
        return PATH.fullmatch(path) is not None

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one ASGI request."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        reply = await to_thread(
            self._answer, scope["method"], scope["path"], scope["query_string"].decode(), headers, body
        )
        head = [(name.encode(), value.encode()) for name, value in reply.head]
        await send({"type": "http.response.start", "status": reply.status, "headers": head})
        await send({"type": "http.response.body", "body": reply.body})

    def _answer(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Reply:
        parts = PATH.fullmatch(path)
        assert parts is not None
        name, password = _basic(headers.get("authorization", ""))
        if not name:
            return _refused(401, "Sign in: let `aws codecommit credential-helper` give git its credentials.")
        access_key, _, token = name.partition("%")
        known = access.secret_of(access_key)
        if known is None or not hmac.compare_digest(known[2], token):
            return _refused(403, "The security token included in the request is invalid. Sign in anew.")
        account, secret, _ = known
        named = [one for one in self._repositories.of(account) if one.name == parts["name"]]
        host = headers.get("host", "").split(":")[0]
        signed = [
            one for one in named or () if _is_signed(secret, password, one.place.region, f"/v1/repos/{one.name}", host)
        ]
        if not named or not signed:
            why = f"has no repository {parts['name']}" if not named else f"got a wrong signature for {parts['name']}"
            return _refused(404 if not named else 403, f"CodeCommit {why}. Look at its name, region and credentials.")
        repository = signed[0]
        body = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        access.stand_in(account, repository.place.region)
        is_push = "git-receive-pack" in (*query.split("="), parts["rest"].rpartition("/")[2])
        references = [ref.decode() for ref in _COMMAND.findall(body.partition(b"PACK")[0])] if is_push else []
        action = "codecommit:GitPush" if is_push else "codecommit:GitPull"
        for reference in references or [""]:
            keys = {"codecommit:References": reference} if reference else {}
            if refusal := access.refusal(access_key, action, repository.arn, repository.place.region, keys):
                return _refused(403, refusal)
        environment = {
            "REQUEST_METHOD": method,
            "QUERY_STRING": query,
            "CONTENT_TYPE": headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": headers.get("git-protocol", ""),
            "REMOTE_USER": access_key,
            "PATH_INFO": parts["rest"],
        }
        if not is_push:
            return _backend(repository, environment, body)
        caller = access.caller(access_key, account).arn
        with self._repositories.pushing(repository):
            before = repository.git.refs()
            reply = _backend(repository, environment, body)
            self._repositories.changed(repository, before, caller)
        return reply


def _backend(repository: Repository, environment: Mapping[str, str], body: bytes) -> Reply:
    """Run git's own CGI program."""
    own = {"GIT_PROJECT_ROOT": str(repository.git.folder), "GIT_HTTP_EXPORT_ALL": "1"}
    done = subprocess.run(
        ["git", "http-backend"], input=body, capture_output=True, check=False, env={**_CLEAN, **own, **environment}
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    lines = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if ": " in line]
    status = next((int(value.split()[0]) for name, value in lines if name == "Status"), 200)
    if done.returncode:
        return _refused(500, done.stderr.decode(errors="replace"))
    return Reply(status, tuple((name, value) for name, value in lines if name != "Status"), content)


def _basic(header: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(header.removeprefix("Basic ")).decode() if header.startswith("Basic ") else ""
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    name, _, password = text.rpartition(":")
    return name, password


def _is_signed(secret: str, password: str, region: str, path: str, host: str) -> bool:
    """Hold a password (time, "Z", signature) against what the AWS CLI's credential helper signs.

    Without a secret, the account's own key, it is taken as it comes."""
    if not secret:
        return True
    time, _, signature = password.partition("Z")
    try:
        age = abs((datetime.now(UTC) - datetime.strptime(f"{time}+0000", "%Y%m%dT%H%M%S%z")).total_seconds())
    except ValueError:
        return False
    scope = [time[:8], region, "codecommit", "aws4_request"]
    request = hashlib.sha256(f"GIT\n{path}\n\nhost:{host}\n\nhost\n".encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\n{time}\n{'/'.join(scope)}\n{request}"
    wanted = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return age < STALE and hmac.compare_digest(wanted, signature)


def _refused(status: int, message: str) -> Reply:
    head = (("Content-Type", "text/plain"), ("WWW-Authenticate", 'Basic realm="codecommit"'))
    return Reply(status, head[: 2 if status == 401 else 1], f"{message}\n".encode())
