"""`./inv serve`: the embedded S3, with what was published to it, on an endpoint of this machine until Ctrl-C."""

from __future__ import annotations

import signal
import socket
import time

from generators.kit import publishing, regions
from generators.kit.registry import discover
from tools.publish import embedded
from tools.publish.aws import EMBEDDED_ACCOUNT, EMBEDDED_SECRET
from tools.publish.embedded import PREFIX, Server, answers, noted, running, served
from tools.publish.errors import EmbeddedFailed, EmbeddedInUse, PortTaken


def serve(port: int) -> None:
    """Serve in the foreground, on any free port for 0; raises when it is served already or the port is taken."""
    known = served()
    if known:
        raise EmbeddedInUse(known.endpoint)
    _check_free(port)
    empty = not embedded.STATE.is_dir()
    with running(port) as server, noted(server):
        print("\n".join(hints(server, empty)), flush=True)
        # However it is ended, and even from the background of a script, what was published is kept in order.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        try:
            while answers(server.endpoint):
                time.sleep(1)
        except KeyboardInterrupt:
            print(f"\nStopped; what was published stays in {embedded.FOLDER}")
            return
        raise EmbeddedFailed("the emulator ended by itself.")


def hints(server: Server, empty: bool = False) -> list[str]:
    """Say where it listens and how to look at what was published, with the commands to paste."""
    region = "eu-west-1" if "eu-west-1" in regions.names() else regions.names()[0]
    bucket = publishing.bucket_name(PREFIX, region)
    template = publishing.release_prefix() + publishing.template_key(discover()[0].stack.name)
    return [
        f"The embedded S3 answers at {server.endpoint} (Ctrl-C ends it).",
        f"{'Nothing is published yet: p' if empty else 'P'}ublish to it from another terminal: ./inv publish",
        "",
        "Look at it with the AWS CLI:",
        f"  export AWS_ACCESS_KEY_ID={EMBEDDED_ACCOUNT} AWS_SECRET_ACCESS_KEY={EMBEDDED_SECRET} \\",
        f"         AWS_REGION={region} AWS_DEFAULT_REGION={region} AWS_ENDPOINT_URL={server.endpoint}",
        "  unset AWS_SESSION_TOKEN AWS_PROFILE",
        f"  aws s3 ls --recursive s3://{bucket}/{publishing.release_prefix()}",
        f"  aws s3 cp s3://{bucket}/{template} -",
        f"  aws cloudformation validate-template --template-url {server.endpoint}/{bucket}/{template}",
    ]


def _check_free(port: int) -> None:
    if not 0 <= port <= 65535:
        raise PortTaken(port)
    with socket.socket() as probe:
        # As the server does: a connection that has just ended does not take the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise PortTaken(port) from None
