"""Compare service quotas with what is needed and say in plain sentences which to raise."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from custom_resource import json_size

OK, SHORT, NOT_CHECKED = "ok", "raise these quotas", "not checked"
IDENTIFIER = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,127}")
CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


class Unreadable(Exception):
    """A quota cannot be compared; the text says why."""


@dataclass(frozen=True)
class Finding:
    """The outcome for one quota. `link` leads to the console page that raises it; empty when there is none."""

    kind: str
    sentence: str
    link: str = ""


def console(region: str, partition: str) -> str:
    """Give the address of the Service Quotas console; empty for a partition whose console is not known here."""
    return f"https://{region}.{CONSOLES[partition]}/servicequotas/home/services" if partition in CONSOLES else ""


def check(client: Any, entries: Any, base: str) -> list[Finding]:
    """Compare every entry. An entry that cannot be compared is a finding too, never an error."""
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return [Finding(NOT_CHECKED, "The property Quotas is not a list.")]
    return [_check(client, entry, base) for entry in entries]


def report(findings: Sequence[Finding], room: int) -> dict[str, str]:
    """Build the attributes in at most `room` bytes of JSON, leaving out the last sentences when they do not fit."""
    checked = sum(finding.kind != NOT_CHECKED for finding in findings)
    kinds = {finding.kind for finding in findings}
    result = next((kind for kind in (SHORT, NOT_CHECKED) if kind in kinds), OK if findings else NOT_CHECKED)
    told = sorted((finding for finding in findings if finding.kind != OK), key=lambda one: one.kind != SHORT)
    for shown in range(len(told), -1, -1):
        sentences = [finding.sentence for finding in told[:shown]]
        if shown < len(told):
            sentences.append(f"{len(told) - shown} more left out: see the log of the quota check.")
        if not told:
            sentences.append(f"All {checked} quotas are high enough." if checked else "No quotas were given to check.")
        links = "\n".join(finding.link for finding in told[:shown] if finding.link) or "none"
        data = {"Result": result, "Summary": " ".join(sentences), "RequestLinks": links, "Checked": str(checked)}
        if json_size(data) <= room:
            break
    return data


def _check(client: Any, entry: Any, base: str) -> Finding:
    label = _line(entry.get("Name") or entry.get("Code"), 80) if isinstance(entry, Mapping) else _line(entry, 80)
    try:
        if not isinstance(entry, Mapping):
            raise Unreadable("it has no properties")
        service, code = _identifier(entry, "Service"), _identifier(entry, "Code")
        needed = _number(entry.get("Needed"))
        quota = _quota(client, service, code)
        has = _number(quota["Value"]) if "Value" in quota else None
        if has is None:
            raise Unreadable(_line(quota.get("ErrorReason", {}).get("ErrorMessage", "no value is known"), 160))
    except Exception as error:
        # Whatever it is (permission, throttling, network, a property): a warning must not stop an installation.
        return Finding(NOT_CHECKED, f"{label} was not checked: {_line(_reason(error), 200).rstrip('.')}.")
    if has >= needed:
        return Finding(OK, f"{label}: has {has:.15g}, needs {needed:.15g}.")
    why = _line(entry.get("Why"), 160).rstrip(".")
    if quota.get("Adjustable") is False:
        return Finding(SHORT, f"{label}: has {has:.15g}, needs {needed:.15g} and cannot be raised: {why}.")
    link = f"{base}/{service}/quotas/{code}" if base else ""
    return Finding(SHORT, f"{label}: has {has:.15g}, needs {needed:.15g}: {why}.", link)


def _quota(client: Any, service: str, code: str) -> Mapping[str, Any]:
    """Read the applied quota; AWS knows one only where it was ever changed or measured, else the default holds."""
    try:
        found: Mapping[str, Any] = client.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchResourceException":
            raise
    else:
        if "Value" in found:
            return found
    default: Mapping[str, Any] = client.get_aws_default_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]
    return default


def _reason(error: Exception) -> str:
    if isinstance(error, ClientError):
        return f"{error.response['Error']['Code']}, {error.response['Error'].get('Message', '')}"
    return str(error) if isinstance(error, Unreadable) else f"{type(error).__name__}, {error}"


def _identifier(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not IDENTIFIER.fullmatch(value):
        raise Unreadable(f"its {key} is no identifier")
    return value


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise Unreadable(f"{_line(value, 40)} is no number")
    return number


def _line(value: Any, longest: int) -> str:
    """Make one printable line of a value; the stack's outputs are read by people."""
    text = " ".join("".join(char if char.isprintable() else " " for char in str(value)).split())
    return text if len(text) <= longest else text[: longest - 3] + "..."
