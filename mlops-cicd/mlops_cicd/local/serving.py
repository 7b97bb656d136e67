"""Serves a model and runs transform jobs through the same server, as the service does: GET /ping, POST /invocations."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from .archives import unpack
from .errors import JobFailed
from .jobs import check, fetch, now, ready, send
from .place import Job
from .requests import MODEL, dig
from .sandbox import OWN, Sandbox

START_SECONDS = 600.0
PING_SECONDS = 2.0  # docs/sagemaker/latest/dg/your-algorithms-batch-code.md
INVOCATION_SECONDS = 600.0
MEGABYTE = 1024 * 1024


def container(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the one container of a model."""
    return model.get("PrimaryContainer") or model["Containers"][0]  # type: ignore[no-any-return]


def model_data(held: Mapping[str, Any]) -> str:
    """Say where a container's model.tar.gz lies."""
    return held.get("ModelDataUrl") or held["ModelDataSource"]["S3DataSource"]["S3Uri"]  # type: ignore[no-any-return]


class Server:
    """A model that answers on 127.0.0.1; a context manager. JobFailed when it does not start.

    The socket is opened here and handed over, so that the server can answer from a namespace that has no network.
    """

    def __init__(
        self, model: Mapping[str, Any], job: Job, port: int = 0, environment: Mapping[str, str] | None = None
    ) -> None:
        held = container(model)
        sandbox = Sandbox(job, ready(job, held["Image"]))
        archive = job.folder / "download"
        fetch(job, model_data(held), archive)
        unpack(next(item for item in archive.iterdir()), sandbox.path("/opt/ml/model"), model_data(held))
        given = {**(held.get("Environment") or {}), **(environment or {})}
        own = f"{sandbox.hosts[0].tmp}/{OWN}" if sandbox.isolation.mapped else f"/tmp/{OWN}"  # noqa: S108
        with socket.create_server(("127.0.0.1", port), backlog=64) as listening:
            self.port = listening.getsockname()[1]
            handle = listening.fileno()
            self.running = sandbox.start(["python3", f"{own}/server.py", str(handle)], lambda _: given, fds=[handle])
        self.job, self.url, self.process = job, f"http://127.0.0.1:{self.port}", self.running.process
        try:
            self._await()
        except BaseException:
            self.running.end()
            raise

    def _await(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise self.died()
            try:
                if self._ask("GET", "/ping", timeout=PING_SECONDS)[0] == 200:
                    return
            except OSError:
                time.sleep(0.02)
            self.running.check(deadline, START_SECONDS, self.job.stop)

    def died(self) -> JobFailed:
        """Say why the server is not there any more."""
        code, text = self.process.wait(), self.running.tail()
        last = next(
            (line.strip() for line in reversed(text.splitlines()) if line.strip()), "it wrote nothing to its log"
        )
        return JobFailed(f"AlgorithmError: the model server ended: {last} (exit code {code})", text)

    def invoke(
        self, body: bytes, content_type: str | None, accept: str | None = None, timeout: float = INVOCATION_SECONDS
    ) -> tuple[int, bytes, str]:
        """Post one request; gives status, body and content type. OSError when there is no answer."""
        headers = {key: item for key, item in (("Content-Type", content_type), ("Accept", accept)) if item}
        return self._ask("POST", "/invocations", body, headers, timeout)

    def _ask(
        self, verb: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, timeout: float = 60
    ) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(verb, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers.get("Content-Type", "")
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def close(self) -> None:
        """End the server and everything it started."""
        self.running.end()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(model: Mapping[str, Any], job: Job, port: int = 0) -> Server:
    """Start a model's server; `model` is the CreateModel request. Use it as a context manager, or call close()."""
    return Server(_checked(model, job), job, port)


def _checked(model: Mapping[str, Any], job: Job) -> Mapping[str, Any]:
    """Check a model, given as it was asked for or as it is described."""
    asked = {key: item for key, item in model.items() if key in MODEL}
    image = dig(asked, "PrimaryContainer", "Image") or next(
        (dig(item, "Image") for item in asked.get("Containers") or ()), None
    )
    check("Model", asked, job, image)
    return asked


def run_transform(request: Mapping[str, Any], model: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """Check and run a transform job; gives what DescribeTransformJob would say. DefinitionError, JobFailed, PlaceError."""
    check("Transform", request, job, None)
    return play_transform(request, _checked(model, job), job)


def play_transform(request: Mapping[str, Any], model: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """Run a transform job that was checked: every object to the server, its answers to `<object>.out`."""
    started = now()
    payload = request.get("MaxPayloadInMB")
    environment = {
        **(request.get("Environment") or {}),
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(6 if payload is None else payload),
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD"
        if request.get("BatchStrategy") == "SingleRecord"
        else "MULTI_RECORD",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(request.get("MaxConcurrentTransforms") or 1),
    }
    with Server(model, job, environment=environment) as server:
        inputs, outputs = job.folder / "input", job.folder / "transformed"
        fetch(job, request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"], inputs)
        deadline = time.monotonic() + job.timeout if job.timeout is not None else None
        done = threading.Event()
        watch = threading.Thread(target=_watch, args=(server, deadline, done), daemon=True)
        watch.start()
        try:
            counts = [
                _transform_file(request, server, item, inputs, outputs, deadline)
                for item in sorted(inputs.rglob("*"))
                if item.is_file()
            ]
        finally:
            done.set()
            watch.join()
    send(job, outputs, request["TransformOutput"]["S3OutputPath"])
    records, lines = sum(item[0] for item in counts), sum(item[1] for item in counts)
    by_line = dig(request, "TransformInput", "SplitType") == dig(request, "TransformOutput", "AssembleWith") == "Line"
    if by_line and records != lines:
        job.say(f"{job.name}: {records} lines went in, {lines} came out. Let output_fn write one line for each row.")
    return {
        **request,
        "TransformJobName": job.name,
        "TransformJobArn": job.arn("transform-job"),
        "TransformJobStatus": "Completed",
        "TransformStartTime": started,
        "TransformEndTime": now(),
        "Records": records,
    }


def _watch(server: Server, deadline: float | None, done: threading.Event) -> None:
    """End the server when the job must end; the request under way then fails."""
    while not done.wait(0.1):
        try:
            server.running.check(deadline, server.job.timeout, server.job.stop)
        except JobFailed:
            server.close()
            return


def _transform_file(
    request: Mapping[str, Any], server: Server, item: Path, inputs: Path, outputs: Path, deadline: float | None
) -> tuple[int, int]:
    """Send one object's records and write the answers; gives the numbers of records and of lines written."""
    given, wanted = request["TransformInput"], request["TransformOutput"]
    name = item.relative_to(inputs).as_posix()
    target = outputs / f"{name}.out"
    target.parent.mkdir(parents=True, exist_ok=True)
    records = 0
    with target.open("wb") as out:
        for count, body in payloads(item, name, request):
            seconds = dig(request, "ModelClientConfig", "InvocationsTimeoutInSeconds") or INVOCATION_SECONDS
            try:
                status, answer, _ = server.invoke(body, given.get("ContentType"), wanted.get("Accept"), seconds)
            except TimeoutError:
                raise JobFailed(
                    f"AlgorithmError: {name}: no answer within {seconds} seconds.", server.running.tail()
                ) from None
            except OSError:
                server.running.check(deadline, server.job.timeout, server.job.stop)
                raise server.died() from None
            if status != 200:
                said = answer.decode("utf-8", "replace").strip()
                raise JobFailed(f"AlgorithmError: {name}: the model answered {status}: {said}", server.running.tail())
            out.write(answer.removesuffix(b"\n") + b"\n" if wanted.get("AssembleWith") == "Line" else answer)
            records += count
    with target.open("rb") as written:
        return records, sum(1 for _ in written)


def payloads(item: Path, name: str, request: Mapping[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Cut an object into requests of at most MaxPayloadInMB; yields the number of records and the body.

    docs/sagemaker/latest/dg/batch-transform.md
    """
    megabytes = 6 if request.get("MaxPayloadInMB") is None else request["MaxPayloadInMB"]
    most = megabytes * MEGABYTE or float("inf")  # 0 means without limit
    data = item.read_bytes()
    if not data:
        raise JobFailed(f"ClientError: {name} is empty. Write at least one record, or take the object away.")
    lines = data.removesuffix(b"\n").split(b"\n") if dig(request, "TransformInput", "SplitType") == "Line" else [data]
    single = request.get("BatchStrategy") == "SingleRecord"
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if len(line) > most:
            raise JobFailed(
                f"ClientError: {name} has a record of {len(line)} bytes. Raise MaxPayloadInMB ({megabytes}), or split it."
            )
        if batch and (single or size + len(line) + 1 > most):
            yield len(batch), b"\n".join(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line) + 1
    yield len(batch), b"\n".join(batch)
