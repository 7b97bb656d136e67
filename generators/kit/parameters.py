"""Questions a template asks: a parameter with its label and group where it is born, and those several templates share."""

from __future__ import annotations

from dataclasses import dataclass

ON_OFF = ("yes", "no")


@dataclass(frozen=True)
class Question:
    """A CloudFormation parameter. `description` is user documentation: what it is, and what an empty value means."""

    name: str
    label: str = ""
    group: str = ""
    description: str = ""
    type: str = "String"
    default: str | int | None = None
    allowed: tuple[str, ...] = ()
    pattern: str = ""
    constraint: str = ""
    min_length: int | None = None
    max_length: int | None = None
    min_value: int | None = None
    max_value: int | None = None


def switch(name: str, label: str, group: str, description: str, default: str = "yes") -> Question:
    """Make a yes/no question. Its name begins with `Enable`, as the house rules say."""
    return Question(name, label, group, description, default=default, allowed=ON_OFF)


COST_CENTER = Question(
    "CostCenter",
    label="Cost center",
    group="General",
    description="Cost center that pays for everything this stack makes; it becomes the tag CostCenter on every resource.",
    pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/=+@-]{0,126}$",
    constraint="1 to 127 letters, digits, spaces or . _ : / = + @ - and beginning with a letter or digit.",
)

ASSETS_BUCKET_PREFIX = Question(
    "AssetsBucketPrefix",
    label="Prefix of the buckets with the published release",
    group="General",
    description="Templates, functions and seed code are read from the bucket PREFIX-REGION; the launch link fills this in.",
    # Bucket names have 63 characters at most; the longest region name takes 14 of them, and its hyphen one.
    pattern=r"^[a-z0-9][a-z0-9-]{1,46}[a-z0-9]$",
    constraint="A bucket name without its region: 3 to 48 lower case letters, digits and hyphens.",
)

LOG_RETENTION = Question(
    "LogRetentionInDays",
    label="Days to keep logs",
    group="General",
    description="How long the platform's own log groups keep their entries, in days.",
    type="Number",
    default="365",
    allowed=tuple(
        str(n) for n in (30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
    ),
)
