"""A log stream in the emulator's CloudWatch Logs, written in batches."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from botocore.exceptions import ClientError

WAIT = 0.5  # seconds that lines are gathered
MOST = 500  # lines a batch


class LogStream:
    """A stream that is made at once, with its group when there is none; the client carries the rights.

    Raises ClientError when the group or the stream may not be made; what is refused later is lost, as on AWS."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client, self._names = client, {"logGroupName": group, "logStreamName": stream}
        self._lines: list[dict[str, Any]] = []
        self._lock, self._last = threading.Lock(), 0.0
        try:
            client.create_log_stream(**self._names)
        except client.exceptions.ResourceNotFoundException:
            with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
                client.create_log_group(logGroupName=group)
            client.create_log_stream(**self._names)

    def write(self, line: str) -> None:
        """Add a line."""
        with self._lock:
            self._lines.append({"timestamp": int(time.time() * 1000), "message": line or " "})
            is_due = time.monotonic() - self._last > WAIT
        if is_due:
            self.flush()

    def flush(self) -> None:
        """Send what was gathered."""
        with self._lock:
            lines, self._lines, self._last = self._lines, [], time.monotonic()
            for start in range(0, len(lines), MOST):
                with contextlib.suppress(ClientError):
                    self._client.put_log_events(**self._names, logEvents=lines[start : start + MOST])
