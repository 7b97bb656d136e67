"""The package index behind an emulated CodeArtifact repository: this machine's own index, as far as builds may read it.

CodeArtifact hands on what its upstream has; here the upstream is whatever index pip is set to use on this machine. Links are
rewritten, so that builds reach nothing but this server."""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

from rehearsal.builds.machine import unpacked_pip
from rehearsal.errors import RehearsalError

# What pip itself is set to use: environment, files and the default, in the words of the pip that Python ships.
_ASK = """
import json
from pip._internal.configuration import Configuration
from pip._internal.models.index import PyPI
found = Configuration(isolated=False)
found.load()
print(json.dumps({**dict(found.items()), "default": PyPI.simple_url}))
"""
_PROJECT = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_SECONDS = 60


class NotInIndex(RehearsalError):
    """The upstream has no such project, or does not answer."""


class _Links(HTMLParser):
    """Collects a page's links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._page = page
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "a" and told.get("href"):
            self.found.append((urljoin(self._page, str(told["href"])), told.get("data-requires-python") or ""))


@dataclass
class Index:
    """Pages and files of the upstream. `scratch` is where pip is unpacked."""

    scratch: Path
    _files: dict[str, str] = field(default_factory=dict)  # the upstream's URL of every file that a page has named

    def page(self, project: str) -> bytes:
        """Give the page of a project, with links below `../../files/`. Raises NotInIndex."""
        if not _PROJECT.fullmatch(project):
            raise NotInIndex(f"{project[:100]!r} is no name of a project.")
        rows = []
        for index in self._upstreams:
            place = f"{index.rstrip('/')}/{project}/"
            try:
                text = self._read(place).decode()
            except (urllib.error.URLError, OSError):
                continue
            links = _Links(place)
            links.feed(text)
            rows += [self._row(url, python) for url, python in links.found]
        if not rows:
            raise NotInIndex(f"The package index of this machine has no {project}.")
        return f"<!DOCTYPE html><html><body>{''.join(rows)}</body></html>".encode()

    def file(self, number: str) -> bytes:
        """Give a file that a page has named. Raises NotInIndex."""
        if number not in self._files:
            raise NotInIndex("No page of this index has named such a file.")
        try:
            return self._read(self._files[number])
        except (urllib.error.URLError, OSError) as error:
            raise NotInIndex(f"The package index of this machine does not give the file ({error}).") from error

    def _row(self, url: str, python: str) -> str:
        place, _, mark = url.partition("#")
        number = hashlib.sha256(place.encode()).hexdigest()[:32]
        self._files[number] = place
        name = html.escape(place.rpartition("/")[2])
        needs = f' data-requires-python="{html.escape(python)}"' if python else ""
        return f'<a href="../../files/{number}/{name}{f"#{html.escape(mark)}" if mark else ""}"{needs}>{name}</a><br>'

    def _read(self, url: str) -> bytes:
        request = urllib.request.Request(url, headers={"Accept": "text/html, */*;q=0.1"})  # noqa: S310 (pip's own index)
        with urllib.request.urlopen(request, timeout=_SECONDS, context=self._tls) as answer:  # noqa: S310
            return bytes(answer.read())

    @cached_property
    def _settings(self) -> dict[str, str]:
        told = subprocess.run(
            [sys.executable, "-c", _ASK],
            env={**os.environ, "PYTHONPATH": str(unpacked_pip(self.scratch))},
            capture_output=True,
            text=True,
            check=True,
        )
        return dict(json.loads(told.stdout))

    @cached_property
    def _upstreams(self) -> list[str]:
        first = (
            self._settings.get(":env:.index-url") or self._settings.get("global.index-url") or self._settings["default"]
        )
        more = self._settings.get(":env:.extra-index-url") or self._settings.get("global.extra-index-url") or ""
        return [first, *more.split()]

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._settings.get(":env:.cert") or self._settings.get("global.cert"))
