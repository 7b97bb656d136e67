"""First process of a job's namespaces: brings up loopback, binds /opt/ml, /tmp and /etc/hosts, and runs one process a host.

Started as `unshare ... python launch.py PLAN.json`. It imports the standard library only and leaves with the job's exit code.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SET_UP_FAILED = 125


def mount(source: str, target: str, kind: str = "none", flags: int = 0) -> None:
    """Call mount(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), kind.encode(), flags, None):
        error = ctypes.get_errno()
        raise OSError(error, f"mount {source} on {target}: {os.strerror(error)}")


def loopback_up() -> None:
    """Set the interface lo up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        name = b"lo".ljust(16, b"\0")
        flags = struct.unpack("16sh", fcntl.ioctl(probe, SIOCGIFFLAGS, struct.pack("16sh", name, 0)))[1]
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh", name, flags | IFF_UP))


def bind(source: str, target: str) -> None:
    """Let `target` show `source`, with what is mounted below it."""
    mount(source, target, flags=MS_BIND | MS_REC)


def cover(folder: Path, keep: list[str]) -> None:
    """Put an empty file system over `folder`, in which only the paths of `keep` below it are still seen."""
    held = [
        (Path(item), os.open(item, os.O_PATH))
        for item in keep
        if Path(item).is_relative_to(folder) and Path(item) != folder
    ]
    mount("none", str(folder), "tmpfs")
    for path, handle in held:
        if not path.exists():  # a path below one that was kept before is there already
            source = f"/proc/self/fd/{handle}"
            if os.path.isdir(source):  # noqa: PTH112
                path.mkdir(parents=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            bind(source, str(path))
        os.close(handle)


def place_ml(ml: str) -> None:
    """Let /opt/ml show the sandbox, whether or not this machine has the folder."""
    if not Path("/opt/ml").is_dir():
        if Path("/opt").is_dir():
            links = {item: item.readlink() for item in Path("/opt").iterdir() if item.is_symlink()}
            cover(Path("/opt"), [str(item) for item in sorted(Path("/opt").iterdir()) if item not in links])
            for item, target in links.items():
                item.symlink_to(target)
        else:
            raise OSError("there is no /opt on this machine to put /opt/ml in")
        Path("/opt/ml").mkdir()
    bind(ml, "/opt/ml")


def prepare(host: dict[str, Any]) -> None:
    """Make the mounts of one host. The sandbox may lie below /tmp, so /tmp is covered last."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    ml, tmp = os.open(host["ml"], os.O_PATH), os.open(host["tmp"], os.O_PATH)
    if host.get("hosts"):
        bind(host["hosts"], "/etc/hosts")
    place_ml(f"/proc/self/fd/{ml}")
    for secret in host["hide"]:
        if Path(secret).is_dir():
            mount("none", secret, "tmpfs")
    kept = [item for item in host["keep"] if Path(item).is_relative_to("/tmp")]  # noqa: S108
    held = [(item, os.open(item, os.O_PATH)) for item in kept]
    bind(f"/proc/self/fd/{tmp}", "/tmp")  # noqa: S108
    for item, handle in held:
        if not Path(item).exists():
            Path(item).mkdir(parents=True)
            bind(f"/proc/self/fd/{handle}", item)
        os.close(handle)
    os.close(ml)
    os.close(tmp)


def start(host: dict[str, Any], fds: list[int]) -> subprocess.Popen[bytes]:
    """Start the job's own program on one host."""
    with open(host["log"], "ab") as log:  # noqa: PTH123
        prepare(host)
        Path(host["cwd"]).mkdir(parents=True, exist_ok=True)
        command, env, cwd = host["command"], host["env"], host["cwd"]
        return subprocess.Popen(
            command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=fds
        )


def nested(plan_file: str, index: int, log: str) -> subprocess.Popen[bytes]:
    """Start one of several hosts in a mount namespace of its own; network and processes are shared."""
    command = ["unshare", "--mount", sys.executable, "-I", "-S", __file__, plan_file, str(index)]
    with open(log, "ab") as file:  # noqa: PTH123
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


def wait(running: dict[int, str]) -> int:
    """Wait for all hosts, and for orphans as the first process must; the first that fails ends the others."""
    result = 0
    while running:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            break
        if pid not in running:
            continue
        del running[pid]
        code = os.waitstatus_to_exitcode(status)
        if code and not result:
            result = code if code > 0 else 128 - code
            for other in running:
                os.kill(other, signal.SIGKILL)
    return result


def main(plan_file: str, only: int | None) -> int:
    """Run the plan: all hosts, or one of several in its own mount namespace."""
    plan = json.loads(Path(plan_file).read_text())
    hosts = plan["hosts"]
    try:
        if only is None:
            # The job gets SIGTERM too; this process stays to hand on how it ended. Ignoring it would be inherited by the job.
            signal.signal(signal.SIGTERM, lambda *_: None)
            loopback_up()
        if only is None and len(hosts) > 1:
            running = {nested(plan_file, index, host["log"]).pid: host["log"] for index, host in enumerate(hosts)}
        else:
            host = hosts[only or 0]
            running = {start(host, plan["fds"]).pid: host["log"]}
    except OSError as error:
        print(f"The sandbox could not start the job: {error}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else SET_UP_FAILED
    return wait(running)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None))
