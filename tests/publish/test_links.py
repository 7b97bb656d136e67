"""Launch links, as rows, as text and as JSON."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from generators.kit import publishing, regions
from generators.kit.registry import discover
from tools.links import BadPrefix, NoPrefix, rows, show


def test_every_launchable_template_has_a_link_in_every_region() -> None:
    launchable = {generator.stack.name for generator in discover() if generator.stack.launch}
    found = rows("acme-mlops")
    assert "1-infra" in launchable
    assert [(row["template"], row["region"]) for row in found] == sorted(
        (template, region) for template in launchable for region in regions.names()
    )


def test_a_link_opens_the_filled_in_form_of_its_region() -> None:
    (row,) = [row for row in rows("acme-mlops", ["eu-west-1"]) if row["template"] == "1-infra"]
    url = urlsplit(row["url"])
    assert url.netloc == "eu-west-1.console.aws.amazon.com"
    fragment, query = url.fragment.split("?")
    assert fragment == "/stacks/create/review"
    filled = {name: value[0] for name, value in parse_qs(query).items()}
    key = f"v{publishing.version()}/templates/1-infra.yaml"
    assert filled["templateURL"] == f"https://acme-mlops-eu-west-1.s3.eu-west-1.amazonaws.com/{key}"
    assert filled["param_AssetsBucketPrefix"] == "acme-mlops"
    assert filled["stackName"].endswith(publishing.version().replace(".", "-"))


def test_json_is_a_list_of_region_template_and_url(capsys: pytest.CaptureFixture[str]) -> None:
    show("acme-mlops", as_json=True)
    assert json.loads(capsys.readouterr().out) == rows("acme-mlops")


def test_text_has_one_line_a_link_under_its_template(capsys: pytest.CaptureFixture[str]) -> None:
    show("acme-mlops", as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1-infra"
    assert sum("https://" in line for line in lines) == len(rows("acme-mlops"))


def test_the_configured_prefix_is_used_when_none_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(publishing, "configured_prefix", lambda: "configured")
    show("", as_json=True)
    assert json.loads(capsys.readouterr().out) == rows("configured")


def test_without_a_prefix_the_commands_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "configured_prefix", lambda: "")
    with pytest.raises(NoPrefix) as caught:
        show("", as_json=False)
    message = str(caught.value)
    assert "./inv publish --bucket-prefix PREFIX" in message and "assets-bucket-prefix" in message
    assert "./inv links --bucket-prefix PREFIX" in message.splitlines()[-1]


@pytest.mark.parametrize(
    "prefix", ["Acme", "a", "acme.mlops", "-acme", "acme-", "acme_mlops", "x" * 60, "xn--acme", "é" * 5]
)
def test_a_prefix_that_makes_no_bucket_name_is_refused(prefix: str) -> None:
    with pytest.raises(BadPrefix, match="--bucket-prefix"):
        rows(prefix)


def test_the_longest_prefix_fits_every_region() -> None:
    longest = "x" * (62 - max(map(len, regions.names())))
    assert max(len(publishing.bucket_name(longest, region)) for region in regions.names()) == 63
    assert rows(longest)
