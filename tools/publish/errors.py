"""What can go wrong while publishing. Nothing is written before every problem that can be known is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.errors import MlopsError, Problems


class PublishError(MlopsError):
    """Base of what `./inv publish` and `./inv serve` refuse."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and what mends it; the same finding of several regions is shown once."""

    reason: str
    mend: str


class EndpointWithoutPrefix(PublishError):
    """An endpoint is named and no buckets."""

    def __init__(self) -> None:
        super().__init__("--endpoint-url says where, but not to which buckets.\nAdd --bucket-prefix PREFIX")


class BadRegions(PublishError):
    """A region was named that is not offered."""

    def __init__(self, unknown: Sequence[str], offered: Sequence[str]) -> None:
        super().__init__(f"Not among the launch regions: {', '.join(unknown)}.\nTake some of: {','.join(offered)}")


class BadReaders(Problems, PublishError):
    """The options that say who may read do not make sense."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            "The readers of the buckets are not clear:",
            problems,
            "Give --org-id o-ORGANIZATION, --accounts 111122223333,444455556666 or --public; see ./inv --help publish",
        )


class StaleTemplates(Problems, PublishError):
    """Committed templates are not what the generators render: what is reviewed would not be what is published."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("The templates are stale:", problems, "Render them again: ./inv build")


class BadAssets(Problems, PublishError):
    """What should be published cannot be put together."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            "The release cannot be put together, so nothing was published:",
            problems,
            "Change what each line names, then run the same command again.",
        )


class NoCredentials(PublishError):
    """There is nobody to publish as."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"No usable AWS credentials: {reason}\n"
            "Sign in first (aws sso login, or AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY). To try it "
            "with no account at all, publish to the embedded S3 of this machine: ./inv publish"
        )


class Unreachable(PublishError):
    """AWS, or the endpoint given, did not answer the first question."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"Nothing was written: {reason}\nCheck network, proxy and --endpoint-url, then run the same command again."
        )


class PreflightFailed(PublishError):
    """Problems that were found in the regions before anything was written."""

    def __init__(self, findings: Mapping[str, Finding]) -> None:
        self.findings = dict(findings)
        regions: dict[Finding, list[str]] = {}
        for region, finding in sorted(findings.items()):
            regions.setdefault(finding, []).append(region)
        lines = [f"  - {', '.join(where)}: {finding.reason}" for finding, where in regions.items()]
        mends = dict.fromkeys(finding.mend for finding in regions)
        super().__init__("\n".join(["Nothing was written, because:", *lines, *mends]))


class Interrupted(PublishError):
    """Some regions could not be finished; no region shows a release that is not whole."""

    def __init__(self, step: str, complete: Iterable[str], failed: Mapping[str, str], shown: str) -> None:
        self.complete, self.failed = tuple(sorted(complete)), dict(failed)
        reasons: dict[str, list[str]] = {}
        for region, reason in sorted(failed.items()):
            reasons.setdefault(reason, []).append(region)
        lines = [f"  - {', '.join(regions)}: {reason}" for reason, regions in reasons.items()]
        whole = f"Complete: {', '.join(self.complete) or 'none'}. Not complete: {', '.join(sorted(failed))}."
        mend = "Run the same command again: only the rest is sent."
        super().__init__("\n".join([f"Stopped while {step}.", *lines, whole, shown, mend]))


class Overtaken(PublishError):
    """The bucket changed between looking and writing."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: somebody else publishes the same version at this moment")


class ReadBackDiffers(Problems, PublishError):
    """What came back over HTTP is not what the manifest says."""

    def __init__(self, problems: list[str], state: Path) -> None:
        super().__init__(
            "The embedded S3 gave back other bytes than were published:",
            problems,
            f"Remove {state} and run ./inv publish again.",
        )


class EmbeddedInUse(PublishError):
    """Two programs would write the same state folder."""

    def __init__(self, endpoint: str | None) -> None:
        where = f"It is served at {endpoint} already" if endpoint else "Another ./inv publish or ./inv serve runs"
        super().__init__(f"The embedded S3 is in use. {where}: use that one, or end it and run the same command again.")


class EmbeddedFailed(PublishError):
    """The emulator did not start, or ended."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The embedded S3 does not run: {reason}\nRun the same command again.")


class PortTaken(PublishError):
    """Something else listens where the embedded S3 should."""

    def __init__(self, port: int) -> None:
        super().__init__(f"Port {port} is taken.\nChoose another, or 0 for any free one: ./inv serve --port 0")
